"""sb3-contrib RecurrentPPO with the network, batch, minibatches and epochs of our PPO beside it."""

from experiments.speed.peers.sb3 import train

SETTINGS = (
    "16 environments x 64 steps, 4 epochs x 4 minibatches, Adam 1e-3, clip 0.2, γ 0.99, λ 0.95, entropy 0.01, one LSTM "
    "64 from observation to both heads, 1 torch thread"
)


def main() -> None:
    """Train until the task is solved or the time is over."""
    train(
        SETTINGS,
        environments=16,
        env_steps=10**9,
        n_steps=64,
        batch_size=256,
        n_epochs=4,
        gamma=0.99,
        gae_lambda=0.95,
        ent_coef=0.01,
        max_grad_norm=0.5,
        learning_rate=1e-3,
        clip_range=0.2,
        policy_kwargs={"lstm_hidden_size": 64, "shared_lstm": True, "enable_critic_lstm": False, "net_arch": []},
    )


if __name__ == "__main__":
    main()
