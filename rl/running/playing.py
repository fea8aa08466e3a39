"""What is played in the evaluations of a run: what they tell, and how many episodes they have cut."""

from rl.acting.evaluate import Episodes, Progress, show_nothing


class Playing:
    """Episodes of all evaluations of a run so far, and who is told of those that are being played."""

    def __init__(self) -> None:
        self.progress: Progress = show_nothing
        self.episodes = self.cut = 0

    def count(self, played: Episodes) -> None:
        """Count episodes that were played to their end, or cut."""
        self.episodes += len(played.cut)
        self.cut += int(played.cut.sum())
