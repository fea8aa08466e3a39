"""sb3-contrib RecurrentPPO with the zoo's tuned settings for CartPole without velocities."""

from collections.abc import Callable
from typing import Any

import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment
from experiments.speed.peers.measurement import options as measured_options

SETTINGS = (
    "zoo's tuned settings: 8 environments x 32 steps, batch 256, 20 epochs, LSTM 64, γ 0.98, λ 0.8, learning rate 1e-3 "
    "and clip 0.2 falling to 0 over 100k env steps, 1 torch thread"
)


def main() -> None:
    """Train until the task is solved or the time is over."""
    train(
        SETTINGS,
        environments=8,
        env_steps=100_000,
        n_steps=32,
        batch_size=256,
        n_epochs=20,
        gamma=0.98,
        gae_lambda=0.8,
        ent_coef=0.0,
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        policy_kwargs={"lstm_hidden_size": 64},
    )


def train(
    settings: str,
    environments: int,
    env_steps: int,
    policy: str = "MlpLstmPolicy",
    make: Callable[[], Any] = make_environment,
    packages: tuple[str, ...] = (),
    **options: Any,
) -> None:
    """Train with these options of the model.

    Args:
        settings: in words.
        environments: how many are stepped in turn.
        env_steps: over which schedules fall.
        policy: sb3-contrib's name of the network.
        make: makes one environment.
        packages: whose versions are noted beside those of sb3-contrib and torch.
        options: what the model is made with.
    """
    given = measured_options()
    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    measurement = Measurement(given, environments, ("sb3-contrib", "torch", *packages), settings)
    venv = make_vec_env(make, n_envs=environments, seed=given.seed)
    model = RecurrentPPO(policy, venv, seed=given.seed, device="cpu", **options)

    def act(observations, state):
        return model.predict(observations, state, deterministic=False)

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            returns = [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
            if measurement.episodes(returns, self.num_timesteps):  # parameters stand still while it acts
                measurement.confirm(lambda: fresh_returns(act, given.seed))
            return not measurement.over

    measurement.start()
    model.learn(env_steps, callback=Watch())
    measurement.end()


if __name__ == "__main__":
    main()
