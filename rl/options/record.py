"""Evaluations, checkpoints, the record and W&B."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RecordOptions:
    """Evaluations, checkpoints, the record and W&B."""

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
    """Folder of the record; empty: runs/<core>-<env>-s<seed>, or runs/<algorithm>-<core>-... of any but ppo, with a
    number behind it where that is taken."""
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """W&B mirror. auto: WANDB_MODE if set, else online where an API key is found, else offline."""
    wandb_project: str = ""
    """W&B project of the run; empty: WANDB_PROJECT if set, else carryover."""
    wandb_name: str = ""
    """Name of the W&B run; empty: WANDB_NAME if set, else <core>-<env>-s<seed>."""
    wandb_group: str = ""
    """W&B group of the run; empty: WANDB_RUN_GROUP if set, else <core>-<env>."""
