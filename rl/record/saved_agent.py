"""The trained agent of a run folder."""

from pathlib import Path

from rl.acting.evaluate import MakeEnvironments
from rl.agent.agent import Agent
from rl.agent.build import agent_for
from rl.agent.check import import_own_parts
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.record.checkpoint import best as best_of
from rl.record.checkpoint import fitting, load_checkpoint
from rl.record.own_modules import found_again


def load_agent(
    run_dir: str | Path, make_environments: MakeEnvironments, best: bool = False
) -> tuple[Agent, Config, int]:
    """The agent of a run's newest checkpoint, its config, and the env steps it was trained for.

    Args:
        run_dir: the folder.
        make_environments: builds vector environments.
        best: take the checkpoint of the best evaluation instead.

    Raises:
        ValueError: there is no readable checkpoint.
    """
    path = checkpoint_of(run_dir, best)
    config, state = load_checkpoint(path)
    with found_again(config, state, path) as config:
        import_own_parts(config)
        environments = make_environments(config.env, 1, **config.environment_options)
        agent = agent_for(config, environments)
        environments.close()
    with fitting(path):
        FlatAgent(agent).load(state["learner"]["parameters"])
        # The newest checkpoint of a run that ended solved has the parameters of the crossing.
        ended_solved = not best and config.stop_when_solved and state["ledger"]["solved"]
        env_steps = int(state["ledger"]["arrays"]["crossing"][0]) if ended_solved else state["env_steps"]
    return agent, config, env_steps


def checkpoint_of(run_dir: str | Path, best: bool = False) -> Path:
    """The newest checkpoint of a run, or that of its best evaluation.

    Raises:
        ValueError: the best one is asked for, and the run kept none.
    """
    path = Path(run_dir) / "checkpoint.pt"
    if not best:
        return path
    kept = best_of(path)
    if not kept.exists():
        raise ValueError(f"{kept}: no such checkpoint; a run writes one with --keep-best at its evaluations")
    return kept
