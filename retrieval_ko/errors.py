"""The one family of errors that a person is meant to read."""

from __future__ import annotations


class RetrievalError(Exception):
    """Something went wrong that the user can mend.

    Args:
        problem: what happened, and to which file, line, id or host.
        remedy: the command or change that mends it, empty where `problem` says it already.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}\n{remedy}" if remedy else problem)


class UsageError(RetrievalError):
    """The command was called in a way that cannot work, whatever the data."""

    exit_code = 2


class DataError(RetrievalError):
    """A file does not hold what it should: names the file and the line or id."""


class ModelError(RetrievalError):
    """A model folder, vocabulary or training run is unusable: says what is missing and how it is made."""
