"""RLlib PPO with use_lstm on its new API stack."""

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.tune.registry import register_env

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment, options

SETTINGS = (
    "{runners} of 8 environments, batch 4000, minibatch 512, 6 epochs, learning rate 3e-4, γ 0.99, λ 0.95, value "
    "weight 0.01, layer 64, LSTM 64, sequences of 20"
)
EPISODES = "returns_of_episodes"


class Report(RLlibCallback):
    """A callback that hands the return of every finished episode to the algorithm."""

    def on_episode_end(self, *, episode, metrics_logger, prev_episode_chunks=(), **_others) -> None:
        """Sum the return over chunks; an episode that a batch cut comes in several."""
        chunks = (*(prev_episode_chunks or ()), episode)
        metrics_logger.log_value(EPISODES, sum(chunk.get_return() for chunk in chunks), reduce="item_series")


def player(folder: str):
    """Load the policy of a checkpoint as a function for `fresh_returns`."""
    module = RLModule.from_checkpoint(f"{folder}/learner_group/learner/rl_module/default_policy")

    @torch.no_grad()
    def act(observations, state):
        if state is None:
            fresh = {name: torch.as_tensor(part) for name, part in module.get_initial_state().items()}
            state = {name: part.expand(len(observations), *part.shape) for name, part in fresh.items()}
        batch = {"obs": torch.as_tensor(observations)[:, None], "state_in": state}  # [batch, time, feature]
        output = module.forward_inference(batch)
        return torch.distributions.Categorical(logits=output["action_dist_inputs"][:, -1]).sample(), output["state_out"]

    return act


def main() -> None:
    """Train until the task is solved or the time is over."""
    given = options()
    runners = max(1, given.cpus - 1)  # the learner has the other CPU
    torch.set_num_threads(1)
    settings = SETTINGS.format(runners="1 env runner" if runners == 1 else f"{runners} env runners")
    measurement = Measurement(given, 8 * runners, ("ray", "torch"), settings)
    ray.init(num_cpus=given.cpus, include_dashboard=False, log_to_driver=False)
    register_env("masked_cartpole", lambda _: make_environment())
    model = DefaultModelConfig(
        fcnet_hiddens=[64],
        fcnet_activation="linear",
        vf_share_layers=True,
        use_lstm=True,
        lstm_cell_size=64,
        max_seq_len=20,
    )
    config = PPOConfig().environment("masked_cartpole").framework("torch").callbacks(Report).debugging(seed=given.seed)
    config = config.env_runners(num_env_runners=runners, num_envs_per_env_runner=8).rl_module(model_config=model)
    algorithm = config.training(
        lr=3e-4,
        num_epochs=6,
        vf_loss_coeff=0.01,
        gamma=0.99,
        lambda_=0.95,
        train_batch_size_per_learner=4000,
        minibatch_size=512,
        entropy_coeff=0.0,
    ).build_algo()
    measurement.start()
    while not measurement.over:
        acted = algorithm.train()["env_runners"]
        if measurement.episodes(acted.get(EPISODES, []), int(acted["num_env_steps_sampled_lifetime"])):
            folder = algorithm.save_to_path(str(given.record.with_suffix("").resolve()))
            act = player(folder)
            measurement.confirm(lambda act=act: fresh_returns(act, given.seed), "of its first checkpoint after it")
    measurement.end()
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
