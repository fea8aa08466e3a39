"""A yardstick: PPO with a GRU in JAX; environment, acting and learning are compiled into one function."""

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.speed.peers.measurement import Measurement, fresh_returns, options

ENVIRONMENTS, STEPS, EPOCHS, MINIBATCHES = 64, 32, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM, LEARNING_RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 1e-3
SETTINGS = (
    "own script: 64 environments x 32 steps, 4 epochs x 4 minibatches, Adam 1e-3, clip 0.2, γ 0.99, λ 0.95, entropy "
    "0.01, torso 64, GRU 64, a time limit counts as an end, compiled before the clock starts"
)


class Network(nn.Module):
    """A network that maps observations through a GRU to policy and value."""

    @nn.compact
    def __call__(self, state, seen):  # [batch, hidden], ([batch, feature], [batch] whether an episode opens)
        state, x = nn.GRUCell(64)(jnp.where(seen[1][:, None], 0.0, state), nn.relu(nn.Dense(64)(seen[0])))
        logits = nn.Dense(2, kernel_init=nn.initializers.orthogonal(0.01))(nn.relu(nn.Dense(64)(x)))
        return state, (logits, nn.Dense(1)(nn.relu(nn.Dense(64)(x)))[:, 0])


network, (cartpole, constants) = Network(), gymnax.make("CartPole-v1")
step_all = jax.vmap(cartpole.step, (0, 0, 0, None))
optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(LEARNING_RATE, eps=1e-5))


def log_prob_of(logits, action):
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]


def step(params, carry, key):
    """Act once in every environment; when an episode ends, the next one starts in the same step."""
    environments, seen, state, episode_return = carry
    state, (logits, value) = network.apply(params, state, seen)
    key, action_key = jax.random.split(key)
    action, keys = jax.random.categorical(action_key, logits), jax.random.split(key, ENVIRONMENTS)
    new, environments, reward, terminated, truncated, _ = step_all(keys, environments, action, constants)
    end, episode_return = terminated | truncated, episode_return + reward
    row = (seen, action, log_prob_of(logits, action), value, reward, end, episode_return)
    return (environments, (new[:, (0, 2)], end), state, jnp.where(end, 0.0, episode_return)), row


def loss(params, state, batch):
    """Return PPO's clipped loss on some environments' rows, unrolled from the state before them."""
    seen, action, old_log_prob, old_value, advantage = batch
    _, (logits, value) = jax.lax.scan(lambda state, row: network.apply(params, state, row), state, seen)
    target, advantage = advantage + old_value, (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = jnp.exp(log_prob_of(logits, action) - old_log_prob)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    near = old_value + jnp.clip(value - old_value, -CLIP, CLIP)
    value_loss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return -gain + VALUE * value_loss - ENTROPY * entropy


def update(params, moments, carry, key):
    """Act for a segment in every environment, then learn from it."""
    keys, opening_state = jax.random.split(key, STEPS + EPOCHS), carry[2]
    carry, rows = jax.lax.scan(lambda carry, key: step(params, carry, key), carry, keys[:STEPS])
    *rows, rewards, ends, episode_returns = rows
    bootstrap_value = network.apply(params, carry[2], carry[1])[1][1]

    def backwards(later, row):
        (advantage, value_after), (value, reward, end) = later, row
        error = reward + GAMMA * value_after * (1.0 - end) - value
        advantage = error + GAMMA * LAMBDA * (1.0 - end) * advantage
        return (advantage, value), advantage

    last, inputs = (jnp.zeros_like(bootstrap_value), bootstrap_value), (rows[-1], rewards, ends)
    _, advantages = jax.lax.scan(backwards, last, inputs, reverse=True)

    def minibatch(learnt, columns):
        params, moments = learnt
        batch = jax.tree.map(lambda row: row[:, columns], (*rows, advantages))
        change, moments = optimiser.update(jax.grad(loss)(params, opening_state[columns], batch), moments)
        return (optax.apply_updates(params, change), moments), None

    orders = [jax.random.permutation(key, ENVIRONMENTS).reshape(MINIBATCHES, -1) for key in keys[STEPS:]]
    (params, moments), _ = jax.lax.scan(minibatch, (params, moments), jnp.concatenate(orders))
    return params, moments, carry, ends, episode_returns


def main() -> None:
    """Compile, then train until the task is solved or the time is over."""
    given = options()
    measurement = Measurement(given, ENVIRONMENTS, ("jax", "flax", "gymnax"), SETTINGS)
    key, params_key, *reset_keys = jax.random.split(jax.random.key(given.seed), 2 + ENVIRONMENTS)
    observation, environments = jax.vmap(cartpole.reset, (0, None))(jnp.stack(reset_keys), constants)
    state, env_steps = jnp.zeros((ENVIRONMENTS, 64)), 0
    carry = (environments, (observation[:, (0, 2)], jnp.ones(ENVIRONMENTS, bool)), state, state[:, 0])
    params = network.init(params_key, state, carry[1])
    moments, apply, noise = optimiser.init(params), jax.jit(network.apply), np.random.default_rng(given.seed)
    train = jax.jit(update).lower(params, moments, carry, key).compile()

    def act(observations, state):
        state = jnp.zeros((len(observations), 64)) if state is None else state
        state, (logits, _) = apply(acting, state, (observations, np.zeros(len(observations), bool)))
        return np.argmax(np.asarray(logits) + noise.gumbel(size=logits.shape), axis=1), state

    measurement.start()
    while not measurement.over:
        acting, (key, update_key) = params, jax.random.split(key)
        params, moments, carry, ends, returns = train(params, moments, carry, update_key)
        env_steps += ENVIRONMENTS * STEPS
        if measurement.episodes(np.asarray(returns)[np.asarray(ends)], env_steps):  # oldest first
            measurement.confirm(lambda: fresh_returns(act, given.seed))
    measurement.end()


if __name__ == "__main__":
    main()
