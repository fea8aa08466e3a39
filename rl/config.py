"""One frozen dataclass is the command line, the W&B config and the header of the checkpoint."""

from dataclasses import dataclass
from typing import Any, Literal

from rl.algorithms import ALGORITHMS, Algorithm
from rl.config_rules import check, parsed_arguments
from rl.names import absolute


@dataclass(frozen=True)
class Config:
    """One training run: what is learnt, by which network, by how many workers, and where the record goes."""

    env: str = "MaskedVelocityCartPole-v1"
    """Gymnasium id, or module:Id-v0 or path/file.py:Id-v0 to import first what registers it."""
    env_arg: tuple[str, ...] = ()
    """Keyword argument of the environment as name=value (Python literals; anything else is a string); repeatable."""
    frame_stack: int = 1
    """Observations joined into one, oldest first; the first one of an episode pads."""
    previous_action: bool = False
    """Append the previous action (one-hot, zeros where an episode opens) to the observation."""
    previous_reward: bool = False
    """Append the previous reward (zero where an episode opens) to the observation."""
    observation_scale: str = "auto"
    """Divide each observation entry: auto (the scale the environment names, if any), none, numbers as 2.4,0.2095, or l2
    (the whole observation by its own length)."""

    algorithm: Literal[*ALGORITHMS] = "a2c"
    """a2c: actor-critic from segments as they come. q_replay: double, duelling Q-learning from a replay buffer. The two
    between: a2c_replay, actor-critic from a buffer (V-trace); q_online, Q-learning from segments as they come."""
    core: str = "lstm"
    """The memory between torso and heads: rnn, gru or lstm; mlp has none; module:Class or path/file.py:Class names
    a core of yours."""
    hidden_size: int = 64
    """Units of each core layer."""
    core_layers: int = 1
    """Layers of the core, stacked."""
    torso: str = "mlp"
    """What stands before the core: mlp, or module:Class or path/file.py:Class for a torso of yours."""
    torso_size: int = 64
    """Units of each layer of the torso."""
    torso_layers: int = 1
    """Layers of the torso named mlp; 0 feeds observations straight to the core."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation of the torso, of the mlp core and of the value head's hidden layer."""
    initialisation: Literal["orthogonal", "torch"] = "orthogonal"
    """First weights: orthogonal matrices and zero biases (the LSTM's forget gate 1), or torch's own defaults."""
    value_hidden_size: int = 0
    """Units of a hidden layer in the value head; 0: none."""
    bounded_values: bool = False
    """Pass values through tanh, so that they lie between -1 and 1."""
    separate_critic: bool = False
    """Give the critic its own torso, core and core state, instead of sharing the policy's."""
    detach_critic: bool = False
    """Keep the critic's loss from moving torso and core: the value head reads a detached core output."""
    unroll: Literal["recorded", "again"] = "recorded"
    """recorded: learn from the activations of acting where there is a fast path (one rnn, gru or lstm layer, plain
    heads, segments of N steps). again: unroll the network again and learn by autograd, which defines the gradient."""
    carry_state: bool = True
    """Carry the core state across segments; --no-carry-state zeroes it at every segment (an ablation)."""

    mode: Literal["async", "sync", "serial"] = "async"
    """async: workers push under one lock (A3C). sync: one update with the gradients of all, bit-reproducible. serial:
    no processes, for debugging (needs --workers 1)."""
    reduce: Literal["auto", "ordered", "all_reduce"] = "auto"
    """How a group that torchrun started adds up gradients. ordered: worker 0 does, in order (equal bit for bit to one
    machine); all_reduce: all together (equal to rounding); auto: ordered up to 8 workers."""
    workers: int = 2
    """Worker processes, one thread each."""
    envs_per_worker: int = 32
    """Environments that each worker steps together."""
    segment_length: int = 32
    """N: steps of every environment between two updates; 0: until the episode ends (Monte Carlo)."""
    stop_at_episode_end: bool = False
    """End a segment where its episode ends, if that comes before N steps; needs --envs-per-worker 1."""
    total_env_steps: int = 1_500_000
    """Environment transitions to train on, over all workers."""
    max_seconds: float = 0.0
    """Most seconds of training, if they pass before --total-env-steps; 0: no limit. The learning rate is annealed over
    env steps."""
    max_cpu_seconds: float = 0.0
    """Most CPU seconds of all workers together, if they pass before --total-env-steps; 0: no limit."""
    stop_when_solved: bool = False
    """End the run once the environment's reward threshold is reached and fresh episodes (--eval-episodes) confirm it;
    the run keeps the parameters of that moment."""
    reward_threshold: float | None = None
    """Mean episode return that counts as solved, in the place of the one that the environment registers."""
    seed: int = 1
    """Seeds parameters, environments and action noise; every environment has its own random numbers."""

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
    reward_scale: float = 0.05
    """Multiplies rewards inside the loss only; every record keeps the environment's own."""
    normalise_advantages: bool = True
    """Give the policy term advantages of mean 0 and standard deviation 1, over all workers in sync mode."""
    loss_reduction: Literal["mean", "sum"] = "mean"
    """Mean or sum of the loss over the steps of a segment."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
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

    epsilon_first: float = 0.2
    """Q-learning: share of random actions in the first environment; from there to --epsilon-last in equal ratios."""
    epsilon_last: float = 0.01
    """Q-learning: share of random actions in the last environment, and in evaluations that are not greedy."""
    replay_capacity: int = 100_000
    """Env steps that the buffers hold, over all workers."""
    replay_warm_up: int = 5_000
    """Env steps in the buffers before the first update."""
    replay_way: Literal["transitions", "zero", "zero_burn_in", "stored", "stored_burn_in", "episodes"] = (
        "stored_burn_in"
    )
    """What is drawn, and the core state it starts from: single transitions, each from a fresh state; sequences from
    zeros or from the state stored by the actor, with or without burn-in (R2D2's four); whole episodes in pieces, the
    state carried (DRQN's sequential updates)."""
    replay_batch: int = 32
    """Sequences (or transitions) of an update."""
    replay_ratio: float = 2.0
    """Steps trained on for each env step: how often a step is replayed on average."""
    sequence_length: int = 32
    """Steps of a sequence that are trained on; transitions have 1. Sequences start where segments do: with fewer than
    --segment-length some steps are never learnt from."""
    burn_in: int = 8
    """Steps before a sequence that only bring the core state up to date, in the ways with burn-in."""
    target_steps: int = 5
    """n of the n-step targets of q_replay."""
    target_interval: int = 100
    """Updates between two copies of the parameters into the target network of q_replay."""
    double_q: bool = True
    """Let the online network choose the action that the target network values; else the target network chooses too."""
    priority_exponent: float = 0.0
    """How much more often sequences with large errors are drawn: p ~ error^exponent; 0: all alike."""
    importance_exponent: float = 0.0
    """How much the loss weighs such sequences down: w ~ p^-exponent; 1 undoes the bias, 0 leaves it."""

    worker_timeout: float = 300.0
    """Seconds without a step of its environments after which a worker counts as hung and is ended. In a group that
    torchrun started, a worker must complete a whole segment in that time."""
    restart_workers: int = 0
    """How many workers that died, failed or hung are replaced before such a worker ends the run; needs --mode async."""

    log_interval: int = 10_000
    """Env steps a row of the record covers."""
    checkpoint_interval: int = 250_000
    """Env steps between two checkpoints; one more is written at the end."""
    eval_episodes: int = 100
    """Fresh episodes of each evaluation at the end, and of the one that confirms 'solved'."""
    eval_interval: int = 0
    """Env steps between two evaluations in training, greedy and sampled, on the same episodes each time; 0: none."""
    interval_episodes: int = 20
    """Episodes of each evaluation in training."""
    eval_max_steps: int = 20_000
    """Most steps of an evaluated episode: a longer one counts with what it has earned until then."""
    log_info: str = ""
    """Entries of the infos at an episode's end, as in success,crashes: numbers and truth values, averaged over the
    episodes of a row into info/success and info/crashes. Commas separate names; inner.name is one within another."""
    keep_best: bool = False
    """Keep the parameters of the best greedy evaluation as checkpoint.best.pt, too; needs --eval-interval."""
    init_from: str = ""
    """Begin with the parameters of the run in this folder, which has the same network and spaces, and nothing else."""
    run_dir: str = ""
    """Folder of the record; empty: runs/<core>-<env>-s<seed>, with a number behind it where that is taken."""
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """W&B mirror. auto: WANDB_MODE if set, else online where an API key is found, else offline."""
    wandb_project: str = ""
    """W&B project of the run; empty: WANDB_PROJECT if set, else carryover."""
    wandb_name: str = ""
    """Name of the W&B run; empty: WANDB_NAME if set, else <core>-<env>-s<seed>."""
    wandb_group: str = ""
    """W&B group of the run; empty: WANDB_RUN_GROUP if set, else <core>-<env>."""

    def __post_init__(self) -> None:
        """Reject values that cannot work.

        Raises:
            ValueError: one line about the first option found wrong.
        """
        check(self)
        for name in ("env", "core", "torso"):  # a file is found from any folder
            object.__setattr__(self, name, absolute(getattr(self, name)))

    @property
    def env_args(self) -> dict[str, Any]:
        """Keyword arguments of the environment, parsed from `env_arg`."""
        return parsed_arguments(self.env_arg)

    @property
    def environment_options(self) -> dict[str, Any]:
        """The keyword arguments with which the environment layer builds vector environments."""
        names = ("env_args", "frame_stack", "previous_action", "previous_reward", "observation_scale")
        options = {name: getattr(self, name) for name in names}
        return options | ({"log_info": self.logged_infos} if self.log_info else {})

    @property
    def logged_infos(self) -> tuple[str, ...]:
        """Names of `log_info`."""
        return tuple(self.log_info.split(",")) if self.log_info else ()

    @property
    def stops_at_episode_end(self) -> bool:
        """Whether a segment ends with its episode."""
        return self.stop_at_episode_end or self.segment_length == 0

    @property
    def algorithm_record(self) -> Algorithm:
        """What sets the algorithm apart from the others."""
        return ALGORITHMS[self.algorithm]

    @property
    def core_name(self) -> str:
        """The core's name without its module."""
        return self.core.rpartition(":")[2]

    @property
    def env_id(self) -> str:
        """The environment's id without the module or the file that registers it."""
        return self.env.rpartition(":")[2]

    @property
    def has_q_values(self) -> bool:
        """Whether the heads are read as action values."""
        return self.algorithm_record.has_q_values

    @property
    def replays(self) -> bool:
        """Whether it learns from a buffer."""
        return self.algorithm_record.replays

    @property
    def trained_rows(self) -> int:
        """Steps of a sequence that are trained on."""
        return 1 if self.replay_way == "transitions" else self.sequence_length

    @property
    def burn_in_rows(self) -> int:
        """Steps before a sequence that bring the state up to date."""
        return self.burn_in if self.replay_way in ("zero_burn_in", "stored_burn_in") else 0

    @property
    def following_rows(self) -> int:
        """Observations behind a sequence that its targets need."""
        return self.target_steps if "target_steps" in self.algorithm_record.options else 1

    @property
    def sequence_span(self) -> int:
        """Rows of a buffer that one sequence spans."""
        return self.burn_in_rows + self.trained_rows + self.following_rows

    @property
    def replay_rows(self) -> int:
        """Steps of each environment that its buffer holds: whole segments."""
        return self.replay_capacity // (self.total_environments * self.segment_length) * self.segment_length

    @property
    def total_environments(self) -> int:
        """Environments over all workers."""
        return self.workers * self.envs_per_worker

    def learning_rate_at(self, env_steps: int) -> float:
        """Adam's step size after `env_steps`: αₜ = α · (1 − (t − t₀) / (T − t₀)) where annealed, from t₀ on, else α."""
        falls = self.anneal_learning_rate and env_steps > self.anneal_from
        length = self.total_env_steps - self.anneal_from
        left = max(0.0, 1.0 - (env_steps - self.anneal_from) / length) if falls and length > 0 else 1.0
        return self.learning_rate * left
