"""Returns, loss and optimiser."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LearningOptions:
    """Returns, loss and optimiser."""

    discount: float = 0.99
    """γ, the discount of a step's reward against the next."""
    returns: Literal["gae", "n_step"] = "gae"
    """Targets: gae (λ-weighted), or n_step (rewards to the end of the segment, then the bootstrap; equal to λ = 1)."""
    gae_lambda: float = 0.95
    """λ of --returns gae: 0 is one-step, 1 is N-step."""
    bootstrap: bool = True
    """Continue returns with the critic's value where a segment or a time limit cuts an episode; --no-bootstrap
    continues them with 0, as REINFORCE does, which has no critic to ask (needs --returns n_step)."""
    baseline: Literal["value", "none"] = "value"
    """What the returns of the policy term are compared with: the critic's value, or nothing (where advantages are
    normalised: their own mean)."""
    reward_scale: float = 1.0
    """Multiplies rewards inside the loss only; every record keeps the environment's own."""
    clip_rewards: bool = False
    """Clip rewards to -1 and 1 inside the loss only, before any scale; every record keeps the game's score. Of whole
    numbers, as Atari's points are, only the sign is left."""
    normalise_returns: bool = True
    """Divide rewards, inside the loss only, by the running deviation of the discounted return."""
    normalise_observations: bool = True
    """Scale each observed floating-point number to mean 0 and deviation 1, by running statistics of all workers.
    Images, and numbers whose bounds lie within -1 and 1, such as one-hots, keep their scale."""
    normalise_advantages: bool = True
    """Give the policy term advantages of mean 0 and standard deviation 1, over all workers in sync mode."""
    loss_reduction: Literal["mean", "sum"] = "mean"
    """Mean or sum of the loss over the steps of a segment."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus. ppo has 0 by default where actions are numbers: the bonus widens a Gaussian without
    end."""
    learning_rate: float = 1e-3
    """Adam's step size at the start. ppo has 5e-4 by default where actions are numbers."""
    anneal_learning_rate: bool = True
    """Lower the learning rate linearly to 0 at total_env_steps."""
    anneal_from: int = 0
    """Env steps from which on the learning rate is lowered; until then it stays. A warm restart sets it anew."""
    adam_beta1: float = 0.9
    """Adam's decay of the first moment."""
    adam_beta2: float = 0.99
    """Adam's decay of the second moment."""
    adam_epsilon: float = 1e-5
    """Adam's guard against division by zero."""
    max_gradient_norm: float = 1.0
    """Longest gradient; longer ones are shortened to this length."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of the network; float64 is for checking equalities."""
