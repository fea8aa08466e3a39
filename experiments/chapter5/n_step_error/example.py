"""The chapter's example of what a bootstrap does."""

import torch

from rl.learning.returns import n_step_returns


def worked_example() -> list[tuple[list[float], float, list[float]]]:
    """(rewards, bootstrap, the return from each step on) with γ = 0.99."""
    found = []
    for bootstrap in (0.0, 1.0):
        for rewards in ([1.0, 1.0, -1.0], [1.0, 1.0, 1.0]):
            column = torch.tensor(rewards, dtype=torch.float64)[:, None]  # [time, batch]
            returns = n_step_returns(column, torch.full_like(column, 0.99), column.new_tensor([bootstrap]))
            found.append((rewards, bootstrap, returns[:, 0].tolist()))
    return found


def worked_table() -> str:
    """The example as a Markdown table, from the end of the series down to index 1, where the chapter stops."""
    lines = ["| rewards | bootstrap | return at index 2 | at index 1 |", "|---|---:|---:|---:|"]
    for rewards, bootstrap, returns in worked_example():
        series = ", ".join(f"{reward:g}" for reward in rewards)
        lines.append(f"| {series} | {bootstrap:g} | {returns[2]:.6g} | {returns[1]:.6g} |")
    plain_low, plain_high, low, high = (returns[1] for _, _, returns in worked_example())
    return "\n".join(lines) + (
        f"\n\nAt index 1 the better series is worth {plain_high / plain_low:.3g} times the other without bootstrap and "
        f"{high / low:.3g} times with it; the difference is {plain_high - plain_low:.3g} and {high - low:.3g}."
    )
