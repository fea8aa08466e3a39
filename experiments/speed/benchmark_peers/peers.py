"""The peers, by the names of their scripts in experiments/speed/peers."""

from typing import NamedTuple


class Peer(NamedTuple):
    """The title of a peer, and the packages that its script needs."""

    title: str
    packages: tuple[str, ...]


TORCH = ("torch==2.13.0", "gymnasium==1.4.0", "numpy==2.4.6")
JAX = ("jax==0.10.2", "jaxlib==0.10.2", "flax==0.12.8", "optax==0.2.8", "gymnax==1.0.1", "six==1.17.0")
PEERS = {
    "sb3": Peer("sb3-contrib RecurrentPPO", ("sb3-contrib==2.9.2", *TORCH)),
    "sample_factory": Peer(
        "Sample Factory", ("sample-factory==2.1.1", "torch==2.13.0", "gymnasium==0.29.1", "numpy==1.26.4")
    ),
    "rllib": Peer("RLlib PPO", ("ray[rllib]==2.60.0", "torch==2.13.0", "gymnasium==1.2.2", "numpy==2.4.6")),
    "torch_ppo": Peer("CleanRL-style PPO-LSTM", TORCH),
    "jax_ppo": Peer("compiled PPO-GRU", (*JAX, "gymnasium==1.3.0", "numpy==2.4.6")),
    "chapter": Peer("book chapter's loop, with LSTM", TORCH),
}
