"""Whether a crossing is confirmed."""

from collections.abc import Callable
from typing import Any

import torch

from rl.running.evaluations import mean_return
from rl.running.setup import Setup


class Verdicts:
    """Each crossing of the threshold is confirmed or refuted by fresh episodes with the parameters of that moment."""

    def __init__(self, setup: Setup, attempts: list[dict[str, Any]]) -> None:
        """Continue with these attempts, of a run before it was resumed."""
        self.setup, self.attempts, self.threshold = setup, attempts, setup.reward_threshold

    def judge(self, stop: Callable[[], bool]) -> None:
        """Play the episodes of the pending attempt and settle it; leave it pending where `stop` cut them short."""
        setup, config = self.setup, self.setup.config
        with setup.locked() as held:  # until then the parameters are still being copied
            if not held:
                return
            setup.agent.load(torch.from_numpy(setup.memory.candidate.parameters))
        confirmation = self.confirmation(stop)
        if confirmation is None:
            return
        confirmed = bool(confirmation >= self.threshold)
        with setup.locked() as held:
            if not held:
                return
            self.attempts.append(self.attempt(confirmation, confirmed))
            with setup.ledger.pages.change():
                if confirmed and config.stop_when_solved:
                    setup.ledger.finish()
                setup.ledger.dues.judged(confirmed)

    def confirmation(self, stop: Callable[[], bool]) -> float | None:
        """Mean return of episodes that no other attempt and no other evaluation plays."""
        episodes = self.setup.config.eval_episodes
        return mean_return(self.setup, self.setup.agent, episodes, False, (2 + len(self.attempts)) * episodes, stop)

    def attempt(self, confirmation: float | None, confirmed: bool) -> dict[str, Any]:
        """The newest crossing and its verdict."""
        env_steps, seconds, mean_return = self.setup.ledger.crossings.newest
        return {
            "env_steps": env_steps,
            "seconds": seconds,
            "window_mean": mean_return,
            "confirmation": confirmation,
            "confirmed": confirmed,
        }

    def all(self) -> list[dict[str, Any]]:
        """All attempts, the pending one included."""
        pending = [self.attempt(None, False)] if self.setup.ledger.crossings.pending else []
        return self.attempts + pending
