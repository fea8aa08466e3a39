"""The checkpoint of the best evaluation."""

from torch import Tensor

from rl.record.checkpoint import best, load_checkpoint, save_checkpoint
from rl.record.keys import Evaluation
from rl.running.checkpoints import Checkpoints


class Best:
    """Keeps as checkpoint.best.pt the parameters that earned most in a greedy evaluation, the last one included.

    Of equal ones the earliest stay.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints, self.evaluation = checkpoints, None
        self.path, self.config = best(checkpoints.folder.checkpoint), checkpoints.setup.config

    def open(self, resumed: bool) -> None:
        """Begin; a resumed run goes on with the best so far."""
        self.path = best(self.checkpoints.folder.checkpoint)
        if resumed and self.config.keep_best and self.path.exists():
            _, state = load_checkpoint(self.path)
            self.evaluation = Evaluation(**state["best"])

    def offer(self, evaluation: Evaluation, parameters: Tensor) -> None:
        """Keep these parameters if none were better.

        Raises:
            OSError: the disk is full, or worse; what was kept before stays.
        """
        if not self.config.keep_best or (self.evaluation and evaluation.greedy <= self.evaluation.greedy):
            return
        with self.checkpoints.setup.locked() as held:
            if not held:
                return
            state = self.checkpoints.state([], 0)
        state["learner"]["parameters"] = parameters.clone()
        state |= {"env_steps": evaluation.env_steps, "candidate": None, "best": evaluation._asdict()}
        save_checkpoint(self.path, self.config, state, keeps_previous=False)
        self.evaluation = evaluation

    def summary(self) -> dict[str, float | int | None]:
        """What summary.json says of it; nothing where it is not kept."""
        if not self.config.keep_best:
            return {}
        found = self.evaluation
        return {
            "best_eval_greedy": found.greedy if found else None,
            "best_at_env_steps": found.env_steps if found else None,
        }
