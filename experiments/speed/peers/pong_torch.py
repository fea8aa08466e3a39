"""A yardstick: Pong by PPO with an LSTM in plain torch, in the style of single-file implementations."""

from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn

from experiments.speed.peers.pong import ALIKE, PACKAGES, make_pong
from experiments.speed.peers.torch_ppo import Agent, Sizes, linear, train

SIZES = Sizes(environments=16, steps=128, epochs=3, minibatches=4, clip=0.1, learning_rate=1e-3)


class Torso(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Flatten()),
            *(linear(32 * 6 * 6, 256, 2**0.5), nn.ReLU()),
        )

    def forward(self, pictures):
        return self.layers(pictures.movedim(-1, 1) / 255.0)


def main() -> None:
    """Train until the time is over."""
    games = SyncVectorEnv([make_pong] * SIZES.environments, autoreset_mode=AutoresetMode.SAME_STEP)
    train(
        lambda: Agent(Torso(), features=256, size=128, actions=6),
        games,
        SIZES,
        f"own script: {ALIKE}, games one by one",
        *PACKAGES,
    )


if __name__ == "__main__":
    main()
