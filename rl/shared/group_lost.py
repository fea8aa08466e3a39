"""The error of a worker whose group is gone."""


class GroupLost(ConnectionError):
    """Workers of other machines are gone or do not answer. The message is one line that says which."""

    def __init__(self, message: str, failed: bool = False) -> None:
        """Make the error.

        Args:
            message: the line.
            failed: whether one of them has said that it failed.
        """
        super().__init__(message)
        self.failed = failed
