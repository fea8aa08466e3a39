"""How a run has ended: summary.json."""

from typing import Any

from rl.record.keys import Evaluation
from rl.running.best import Best
from rl.running.evaluations import mean_return
from rl.running.outcome import Outcome
from rl.running.setup import Setup


def summarise(
    setup: Setup, outcome: Outcome, attempts: list[dict[str, Any]], startup_seconds: float, best: Best
) -> dict[str, Any]:
    """The summary of a run, after its last evaluations; those of a run that was stopped are left out."""
    ledger = setup.ledger
    env_steps, seconds, crossing_mean = ledger.crossings.newest
    solved, trained = ledger.crossings.confirmed, ledger.clock.trained_seconds
    evaluations = evaluate_at_end(setup, outcome, best)
    say_what_did_not_end(setup, outcome, attempts)
    reason, code = outcome.reason()  # afterwards: a signal may have come during the evaluations
    return {
        "env_steps": ledger.env_steps,
        "updates": ledger.updates,
        "startup_seconds": startup_seconds,
        "seconds": trained,
        "cpu_seconds": ledger.cpu_seconds,
        "sps": ledger.env_steps / trained if trained > 0 else None,
        "mean_return": crossing_mean if outcome.solved else ledger.crossings.mean_return,
        "solved": solved,
        "solved_at_env_steps": env_steps if solved else None,
        "solved_at_seconds": seconds if solved else None,
        "solve_attempts": attempts,
        **evaluations,
        **best.summary(),
        "staleness": ledger.staleness,
        "restarts": outcome.restarts,
        "exit_reason": reason,
        "exit_code": code,
    }


def evaluate_at_end(setup: Setup, outcome: Outcome, best: Best) -> dict[str, float | None]:
    """Play fresh episodes with the parameters at the end of the run; None for what was not played to its end.

    `eval_cut` is how many of these episodes had not ended after --eval-max-steps.
    """
    evaluations: dict[str, float | None] = {"eval_greedy": None, "eval_sampled": None, "eval_cut": None}
    if outcome.stopping:
        return evaluations
    agent, episodes, cut_before, ledger = setup.agent, setup.config.eval_episodes, setup.playing.cut, setup.ledger

    def stop() -> bool:
        return outcome.stopping

    with outcome.noting_faults():
        agent.load(setup.learner.parameters)
        evaluations["eval_greedy"] = mean_return(setup, agent, episodes, True, 0, stop)
        evaluations["eval_sampled"] = mean_return(setup, agent, episodes, False, episodes, stop)
        if evaluations["eval_sampled"] is not None:
            evaluations["eval_cut"] = setup.playing.cut - cut_before
        if None not in evaluations.values():
            at = ledger.crossings.newest[0] if outcome.solved else ledger.env_steps
            found = Evaluation(at, ledger.cpu_seconds, evaluations["eval_greedy"], evaluations["eval_sampled"])
            best.offer(found, agent.parameters)
    return evaluations


def say_what_did_not_end(setup: Setup, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
    """Tell the user of evaluated episodes that were cut, and of a training in which no episode ended."""
    config, playing, ledger = setup.config, setup.playing, setup.ledger
    if playing.cut:
        outcome.notify(
            f"{playing.cut} of {playing.episodes} evaluated episodes had not ended after {config.eval_max_steps} steps "
            "(--eval-max-steps) and count with what they had earned until then"
        )
    if ledger.env_steps and not ledger.crossings.any_episode and not attempts and not outcome.stopping:
        outcome.notify(
            f"no episode ended in {ledger.env_steps} env steps of training, which are "
            f"{ledger.env_steps // config.total_environments} in each environment, so its returns are unknown; more "
            "--total-env-steps or a time limit (--env-arg max_episode_steps=N) would end some"
        )
