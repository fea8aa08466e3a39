"""The trained agent of a run folder."""

from pathlib import Path

from rl.acting.evaluate import MakeEnvironments
from rl.agent.agent import Agent
from rl.agent.build import agent_for
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.record.checkpoint import fitting, load_checkpoint


def load_agent(run_dir: str | Path, make_environments: MakeEnvironments) -> tuple[Agent, Config, int]:
    """The agent of a run's newest checkpoint, its config, and the env steps it was trained for.

    Raises:
        ValueError: there is no readable checkpoint.
    """
    path = Path(run_dir) / "checkpoint.pt"
    config, state = load_checkpoint(path)
    environments = make_environments(config.env, 1, **config.environment_options)
    agent = agent_for(config, environments)
    environments.close()
    with fitting(path):
        FlatAgent(agent).load(state["learner"]["parameters"])
        ended_solved = config.stop_when_solved and state["ledger"]["solved"]  # then it holds those of the crossing
        env_steps = int(state["ledger"]["arrays"]["crossing"][0]) if ended_solved else state["env_steps"]
    return agent, config, env_steps
