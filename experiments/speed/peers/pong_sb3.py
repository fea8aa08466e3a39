"""sb3-contrib RecurrentPPO with its CnnLstmPolicy on Pong, with the network, batch, minibatches and epochs of ours."""

import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from experiments.speed.peers.pong import ALIKE, PACKAGES, make_pong
from experiments.speed.peers.sb3 import train


class Torso(BaseFeaturesExtractor):
    """The two small convolutions of ours; pictures come with channels first and divided by 255."""

    def __init__(self, space) -> None:
        super().__init__(space, features_dim=256)
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(32 * 6 * 6, 256), nn.ReLU()),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


def main() -> None:
    """Train until the time is over."""
    train(
        f"{ALIKE}, games one by one",
        policy="CnnLstmPolicy",
        make=make_pong,
        packages=PACKAGES,
        environments=16,
        env_steps=10**9,
        n_steps=128,
        batch_size=512,
        n_epochs=3,
        gamma=0.99,
        gae_lambda=0.95,
        ent_coef=0.01,
        max_grad_norm=0.5,
        learning_rate=1e-3,
        clip_range=0.1,
        policy_kwargs={
            "features_extractor_class": Torso,
            "lstm_hidden_size": 128,
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "net_arch": [],
        },
    )


if __name__ == "__main__":
    main()
