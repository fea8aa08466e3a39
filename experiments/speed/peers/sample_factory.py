"""Sample Factory 2, asynchronous PPO with an LSTM; its own processes act and learn, and this one watches."""

import os
from pathlib import Path

import torch
from gymnasium.spaces import Dict
from sample_factory.algo.runners.runner import AlgoObserver
from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.model.actor_critic import create_actor_critic
from sample_factory.model.model_utils import get_rnn_size
from sample_factory.train import make_runner

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment, options

SETTINGS = (
    "asynchronous PPO, {workers} workers x {environments} environments, rollout 32, batch 1024, encoder 64, LSTM 64, "
    "learning rate 1e-3, reward scale 0.1, the rest as shipped"
)


def make(_name: str, _cfg=None, _env_config=None, render_mode=None):
    """Make one environment, with the signature that Sample Factory calls."""
    return make_environment()


def flags(given, folder: Path, workers: int, environments: int) -> list[str]:
    """Return Sample Factory's command line."""
    values = {
        "env": "masked_cartpole",
        "experiment": "run",
        "train_dir": folder,
        "seed": given.seed,
        "device": "cpu",
        "num_workers": workers,
        "num_envs_per_worker": environments,
        "rollout": 32,
        "recurrence": 32,
        "batch_size": 1024,
        "use_rnn": True,
        "rnn_type": "lstm",
        "rnn_size": 64,
        "learning_rate": 1e-3,
        "reward_scale": 0.1,
        "train_for_env_steps": 10**10,
        "restart_behavior": "overwrite",
        "save_every_sec": 10**6,
    }
    return [*(f"--{name}={value}" for name, value in values.items()), "--encoder_mlp_layers", "64"]


def player(cfg, file: Path):
    """Load the policy of a checkpoint as a function for `fresh_returns`."""
    environment = make_environment()
    policy = create_actor_critic(cfg, Dict({"obs": environment.observation_space}), environment.action_space)
    policy.load_state_dict(torch.load(file, weights_only=False)["model"])
    policy.eval()

    @torch.no_grad()
    def act(observations, state):
        state = torch.zeros(len(observations), get_rnn_size(cfg)) if state is None else state
        seen = prepare_and_normalize_obs(policy, {"obs": torch.as_tensor(observations)})
        output = policy(seen, state)
        return output["actions"].flatten().tolist(), output["new_rnn_states"]

    return act


def main() -> None:
    """Train until the task is solved or the time is over."""
    given = options()
    torch.set_num_threads(1)
    folder = given.record.parent.resolve() / given.record.stem
    workers = min(given.cpus, 16)
    environments = 2 * (16 // workers)  # for each worker: 32 in all, and an even number, since two halves take turns
    settings = SETTINGS.format(workers=workers, environments=environments)
    measurement = Measurement(given, workers * environments, ("sample-factory", "torch"), settings)
    register_env("masked_cartpole", make)
    arguments = flags(given, folder, workers, environments)
    parser, _ = parse_sf_args(arguments)
    cfg, runner = make_runner(parse_full_cfg(parser, arguments))
    checkpoints = folder / "run" / "checkpoint_p0"
    before: set[Path] | None = None  # checkpoints that were there when the window crossed the threshold

    def episode(runner, message, _policy) -> None:
        nonlocal before
        if measurement.began is None:
            measurement.start()
        crossed = measurement.episodes([message["episodic"]["reward"]], runner.env_steps.get(0, 0))
        if crossed and before is None:
            before = set(checkpoints.glob("checkpoint_*.pth"))
            runner.save_periodic.emit()

    class Watch(AlgoObserver):
        def on_training_step(self, runner, _iteration) -> None:
            nonlocal before
            measurement.progress(runner.env_steps.get(0, 0))
            new = set() if before is None else set(checkpoints.glob("checkpoint_*.pth")) - before
            if new:
                act = player(cfg, new.pop())
                measurement.confirm(lambda: fresh_returns(act, given.seed), "of its first checkpoint after it", False)
                before = None
            if measurement.over:
                runner.cfg.train_for_env_steps = 0  # ends the run after this training step

    runner.register_observer(Watch())
    runner.register_episodic_stats_handler(episode)
    if (status := runner.init()) == 0:
        status = runner.run()
    if status == 0:
        measurement.end()
    os._exit(int(status))  # after a fault its processes live on, and an ordinary exit would wait for them


if __name__ == "__main__":
    main()
