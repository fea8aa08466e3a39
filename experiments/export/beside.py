"""A file beside the Player: both play the same steps, and must say the same."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from envs.vector.forms import find_spec
from envs.vector.packing import MASK
from experiments.export.actions import is_clear, said_of_actions
from experiments.export.graph import PolicyStep
from rl.config import Config
from rl.play import Player

STEPS, ENVIRONMENTS = 1_000, 3  # steps of each environment
CUT = 150  # steps after which an episode is cut, and more in each further environment: so there are borders enough
TOLERANCE = 1e-5  # of numbers up to 1; of larger ones, of their size


def own_environments(config: Config) -> list[gymnasium.Env]:
    """Environments of a run as Gymnasium makes them, no more than one of its workers had.

    Raises:
        ValueError: they cannot be made.
    """
    number = min(ENVIRONMENTS, config.envs_per_worker)
    try:
        spec = find_spec(config.env)
        return [gymnasium.make(spec, disable_env_checker=True, **config.env_args) for _ in range(number)]
    except Exception as error:  # a foreign environment may raise anything
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{config.env} cannot be made, and a file is checked by playing it ({words})") from error


class Compared:
    """What came of it."""

    def __init__(self) -> None:
        self.borders, self.worst, self.actions = 0, 0.0, 0

    def note(self, name: str, step: int, expected: np.ndarray, found: np.ndarray) -> None:
        """Compare an output.

        Raises:
            ValueError: it is something else.
        """
        if expected.shape != found.shape:
            raise ValueError(f"the file's {name} has shape {found.shape} at step {step}, not {expected.shape}")
        difference = np.abs(expected - found) / np.maximum(1.0, np.abs(expected))
        worst = float(difference.max(initial=0.0))
        if not worst <= TOLERANCE:  # also where it is nan
            raise ValueError(
                f"the file's {name} at step {step} is {worst:.2g} from the Player's, {TOLERANCE:g} is allowed"
            )
        self.worst = max(self.worst, worst)


def play_beside(session: Any, step: PolicyStep, player: Player, environments: list[gymnasium.Env]) -> Compared:
    """Play 1,000 steps of each environment with the Player, and let the file say what it would do.

    Args:
        session: plays the file, in onnxruntime.
        step: what the file was made of; names its tensors.
        player: greedy, with an environment for each row.
        environments: are those of the run, and are closed at the end.

    Raises:
        ValueError: the file says something else than the Player.
    """
    compared, rows = Compared(), range(len(environments))
    feed = {name: one.zeros(len(environments)).numpy() for name, one in step.inputs.items()}
    began = [environment.reset(seed=row) for row, environment in enumerate(environments)]
    shown, masks = [one for one, _ in began], [info.get(MASK) for _, info in began]
    is_first, rewards, lengths = np.ones(len(rows), dtype=bool), np.zeros(len(rows)), np.zeros(len(rows), dtype=int)
    for number in range(STEPS):
        mask = (masks if len(rows) > 1 else masks[0]) if player.encode.mask_in_infos else None
        actions = player.act(shown if len(rows) > 1 else shown[0], is_first, rewards, mask)
        actions = actions if len(rows) > 1 else np.asarray(actions)[None]
        feed |= {**step.observations.arrays(shown, masks), "is_first": is_first}
        if "previous_reward" in feed:
            feed["previous_reward"] = rewards.astype(np.float32)
        said = dict(zip(step.outputs, session.run(step.outputs, feed), strict=True))
        compare(compared, number, player, actions, said)
        compared.borders += int(is_first.sum())
        feed |= {name: said[output] for name, output in step.carried.items()}
        if "previous_action" in feed:  # of the Player: between two that are worth the same, either may be taken
            feed["previous_action"] = actions.astype(feed["previous_action"].dtype)
        lengths += 1
        for row, environment in enumerate(environments):
            shown[row], rewards[row], terminated, truncated, info = environment.step(actions[row])
            is_first[row] = terminated or truncated or lengths[row] >= CUT * (1 + row)
            if is_first[row]:
                shown[row], info = environment.reset()
                lengths[row] = 0
            masks[row] = info.get(MASK)
    for environment in environments:
        environment.close()
    compare_one_row(compared, session, step, feed)
    return compared


def compare_one_row(compared: Compared, session: Any, step: PolicyStep, feed: dict[str, np.ndarray]) -> None:
    """A row by itself must be what it is among others: the number of rows is open.

    Raises:
        ValueError: it is something else.
    """
    axes = {name: one.shape.index("batch") for name, one in step.inputs.items()}
    alone = {name: np.take(array, [0], axis=axes[name]) for name, array in feed.items()}
    together, single = session.run(step.outputs, feed), session.run(step.outputs, alone)
    for name, all_rows, row in zip(step.outputs[1:], together[1:], single[1:], strict=True):
        axis = 1 if name.startswith("next_core_state") else 0
        compared.note(f"{name} of one row", STEPS, np.take(all_rows, [0], axis=axis), row)


def compare(compared: Compared, number: int, player: Player, actions: np.ndarray, said: dict[str, np.ndarray]) -> None:
    """Compare all outputs of a step.

    Raises:
        ValueError: one is something else.
    """
    output, agent_player = player.player.output, player.player
    distribution = player.agent.actions
    compared.note("logits", number, said_of_actions(distribution, output.logits).numpy(), said["logits"])
    compared.note("value", number, output.values.numpy(), said["value"])
    for part, state in enumerate(agent_player.core_state):
        compared.note(f"next_core_state_{part}", number, state.numpy(), said[f"next_core_state_{part}"])
    if isinstance(player.action_space, Box):
        compared.note("action", number, actions, said["action"])
        compared.actions += len(actions)
        return
    clear = is_clear(distribution, output.logits, TOLERANCE)
    if (said["action"] != actions)[clear].any():
        raise ValueError(f"the file takes actions {said['action']} at step {number}, the Player {actions}")
    compared.actions += int(clear.sum())
