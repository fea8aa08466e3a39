"""The compiled yardstick of jax_ppo.py with the network of our PPO beside it."""

import flax.linen as nn
import jax.numpy as jnp

from experiments.speed.peers import jax_ppo


class Network(nn.Module):
    """A network that maps observations through a GRU to policy and value, without a layer between GRU and heads."""

    @nn.compact
    def __call__(self, state, seen):  # [batch, hidden], ([batch, feature], [batch] whether an episode opens)
        state, x = nn.GRUCell(64)(jnp.where(seen[1][:, None], 0.0, state), nn.tanh(nn.Dense(64)(seen[0])))
        logits = nn.Dense(2, kernel_init=nn.initializers.orthogonal(0.01))(x)
        return state, (logits, nn.Dense(1)(x)[:, 0])


if __name__ == "__main__":
    jax_ppo.network, jax_ppo.ENVIRONMENTS, jax_ppo.STEPS = Network(), 16, 64
    jax_ppo.SETTINGS = jax_ppo.SETTINGS.replace("64 environments x 32", "16 environments x 64") + ", heads of one layer"
    jax_ppo.main()
