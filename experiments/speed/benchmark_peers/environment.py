"""The CartPole that peers step one by one, for a run of ours that is to have the same environment."""

import gymnasium

from experiments.speed.peers.measurement import THRESHOLD, make_environment

gymnasium.register("PeersCartPole-v0", lambda **_options: make_environment(), reward_threshold=THRESHOLD)
