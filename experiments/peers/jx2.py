"""A yardstick: PPO with a GRU, acting and learning compiled into one function with JAX, the environment included."""

from typing import Any, NamedTuple

from experiments.peers.measurement import Measurement, fresh_returns, options

ENVIRONMENTS, STEPS, EPOCHS, MINIBATCHES = 64, 32, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM, LEARNING_RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 1e-3
SETTINGS = (
    "own script: 64 environments x 32 steps, 4 epochs x 4 minibatches, Adam 1e-3, clip 0.2, γ 0.99, λ 0.95, entropy "
    "0.01, GRU 64; a time limit counts as an end; compiled before the clock starts"
)


class Step(NamedTuple):
    """What acting leaves for learning, each [time, batch, ...]."""

    observation: Any
    is_first: Any
    action: Any
    log_prob: Any
    value: Any
    reward: Any
    end: Any
    episode_return: Any


def build(seed: int):
    """The compiled update, its first arguments, and acting alone."""
    import flax.linen as nn
    import gymnax
    import jax
    import jax.numpy as jnp
    import optax

    class Network(nn.Module):
        @nn.compact
        def __call__(self, state, observation, is_first):
            state = jnp.where(is_first[:, None], 0.0, state)
            state, x = nn.GRUCell(64)(state, nn.relu(nn.Dense(64)(observation)))
            logits = nn.Dense(2, kernel_init=nn.initializers.orthogonal(0.01))(nn.relu(nn.Dense(64)(x)))
            return state, logits, nn.Dense(1)(nn.relu(nn.Dense(64)(x)))[:, 0]

    network, (cartpole, cartpole_params) = Network(), gymnax.make("CartPole-v1")
    reset = jax.vmap(cartpole.reset, (0, None))
    step_all = jax.vmap(cartpole.step, (0, 0, 0, None))
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(LEARNING_RATE, eps=1e-5))

    def unroll(params, state, observations, is_first):
        def one(state, row):
            state, logits, value = network.apply(params, state, *row)
            return state, (logits, value)

        return jax.lax.scan(one, state, (observations, is_first))[1]

    def loss(params, batch):
        state, steps, advantages, returns = batch
        logits, values = unroll(params, state, steps.observation, steps.is_first)
        log_probs = jax.nn.log_softmax(logits)
        entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
        log_prob = jnp.take_along_axis(log_probs, steps.action[..., None], -1)[..., 0]
        ratio = jnp.exp(log_prob - steps.log_prob)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        gain = jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantages).mean()
        near = values
        error = 0.5 * jnp.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
        return -gain + VALUE * error - ENTROPY * entropy

    def act(carry, key, params):
        env_state, observation, is_first, state, episode_return = carry
        state, logits, value = network.apply(params, state, observation, is_first)
        key, action_key = jax.random.split(key)
        action = jax.random.categorical(action_key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        keys = jax.random.split(key, ENVIRONMENTS)
        seen, env_state, reward, terminated, truncated, _ = step_all(keys, env_state, action, cartpole_params)
        end, episode_return = terminated | truncated, episode_return + reward
        step = Step(observation, is_first, action, log_prob, value, reward, end, episode_return)
        return (env_state, seen[:, (0, 2)], end, state, jnp.where(end, 0.0, episode_return)), step

    def update(params, moments, carry, key):
        keys = jax.random.split(key, STEPS + EPOCHS)
        opening_state = carry[3]
        carry, steps = jax.lax.scan(lambda carry, key: act(carry, key, params), carry, keys[:STEPS])
        _, observation, is_first, state, _ = carry
        last_value = network.apply(params, state, observation, is_first)[2]

        def backwards(later, step):
            advantage, value_after = later
            going_on = 1.0 - step.end
            error = step.reward + GAMMA * value_after * going_on - step.value
            advantage = error + GAMMA * LAMBDA * going_on * advantage
            return (advantage, step.value), advantage

        _, advantages = jax.lax.scan(backwards, (jnp.zeros_like(last_value), last_value), steps, reverse=True)
        batch = (opening_state[None], steps, advantages, advantages + steps.value)

        def epoch(learnt, key):
            order = jax.random.permutation(key, ENVIRONMENTS).reshape(MINIBATCHES, -1)

            def minibatch(learnt, columns):
                params, moments = learnt
                state, *others = jax.tree.map(lambda x: x[:, columns], batch)
                gradient = jax.grad(loss)(params, (state[0], *others))
                change, moments = optimiser.update(gradient, moments)
                return (optax.apply_updates(params, change), moments), None

            return jax.lax.scan(minibatch, learnt, order)[0], None

        (params, moments), _ = jax.lax.scan(epoch, (params, moments), keys[STEPS:])
        return params, moments, carry, steps.end, steps.episode_return

    key, params_key, reset_key = jax.random.split(jax.random.key(seed), 3)
    observation, env_state = reset(jax.random.split(reset_key, ENVIRONMENTS), cartpole_params)
    zeros = jnp.zeros((ENVIRONMENTS, 64))
    carry = (env_state, observation[:, (0, 2)], jnp.ones(ENVIRONMENTS, bool), zeros, zeros[:, 0])
    params = network.init(params_key, zeros, carry[1], carry[2])
    first = (params, optimiser.init(params), carry)
    return jax.jit(update).lower(*first, key).compile(), first, key, jax.jit(network.apply)


def main() -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    told = options()
    measurement = Measurement(told, ENVIRONMENTS, ("jax", "flax", "gymnax"), SETTINGS)
    update, (params, moments, carry), key, apply = build(told.seed)

    def act(observations, state):
        is_first = np.full(len(observations), state is None)
        state = jnp.zeros((len(observations), 64)) if state is None else state
        state, logits, _ = apply(params_of_crossing, state, observations, is_first)
        noise = generator.gumbel(size=logits.shape)
        return np.argmax(np.asarray(logits) + noise, axis=1), state

    generator, env_steps = np.random.default_rng(told.seed), 0
    measurement.start()
    while not measurement.over:
        params_of_crossing = params  # those that act in this rollout
        key, update_key = jax.random.split(key)
        params, moments, carry, ends, returns = update(params, moments, carry, update_key)
        env_steps += ENVIRONMENTS * STEPS
        if measurement.episodes(np.asarray(returns)[np.asarray(ends)], env_steps):  # oldest first
            measurement.confirm(lambda: fresh_returns(act, told.seed))
    measurement.end()


if __name__ == "__main__":
    main()
