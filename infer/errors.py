"""Errors raised for bad input."""

from infer.wording import one_line

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: one line with the problem, its place and the remedy.

    Parameters
    ----------
    message : str
        Put on one line, control characters escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))
