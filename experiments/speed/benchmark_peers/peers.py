"""The peers, by the names of their scripts in experiments/speed/peers."""

from typing import NamedTuple


class Peer(NamedTuple):
    """The title of a peer, the packages that its script needs, and what of ours is compared with it alone.

    Those runs have the same network, batch, minibatches and epochs as the peer.
    """

    title: str
    packages: tuple[str, ...]
    alike: dict[str, str] = {}  # noqa: RUF012  options of runs of our PPO beside it, by what sets each apart


TORCH = ("torch==2.13.0", "gymnasium==1.4.0", "numpy==2.4.6")
JAX = ("jax==0.10.2", "jaxlib==0.10.2", "flax==0.12.8", "optax==0.2.8", "gymnax==1.0.1", "six==1.17.0")
PPO = (
    "--algorithm ppo --segment-length 64 --epochs 4 --minibatches 4 --clip-range 0.2 --learning-rate 1e-3 "
    "--no-anneal-learning-rate --discount 0.99 --returns gae --gae-lambda 0.95 --entropy-coefficient 0.01 "
    "--value-coefficient 0.5 --max-gradient-norm 0.5 --normalise-advantages --reward-scale 1 --observation-scale none "
    "--mode async --envs-per-worker 16 --torso-size 64 --hidden-size 64 --total-env-steps 100000000 --log-interval 2048"
)
ONE_BY_ONE = "--env experiments.speed.benchmark_peers.environment:PeersCartPole-v0"
PEERS = {
    "sb3": Peer("sb3-contrib RecurrentPPO", ("sb3-contrib==2.9.2", *TORCH)),
    "sample_factory": Peer(
        "Sample Factory", ("sample-factory==2.1.1", "torch==2.13.0", "gymnasium==0.29.1", "numpy==1.26.4")
    ),
    "rllib": Peer("RLlib PPO", ("ray[rllib]==2.60.0", "torch==2.13.0", "gymnasium==1.2.2", "numpy==2.4.6")),
    "torch_ppo": Peer("CleanRL-style PPO-LSTM", TORCH),
    "jax_ppo": Peer("compiled PPO-GRU", (*JAX, "gymnasium==1.3.0", "numpy==2.4.6")),
    "sb3_alike": Peer(
        "sb3-contrib RecurrentPPO, alike",
        ("sb3-contrib==2.9.2", *TORCH),
        {
            "environments one by one": f"{PPO} {ONE_BY_ONE} --core lstm --torso-layers 0",
            "environments as one array": f"{PPO} --env MaskedVelocityCartPole-v1 --core lstm --torso-layers 0",
        },
    ),
    "jax_alike": Peer(
        "compiled PPO-GRU, alike",
        (*JAX, "gymnasium==1.3.0", "numpy==2.4.6"),
        {"": f"{PPO} --env MaskedVelocityCartPole-v1 --core gru"},
    ),
    "chapter": Peer("book chapter's loop, with LSTM", TORCH),
}
