"""What a language model has to do for us, whoever runs it: `ollama.py` here, `sparse_ko.generation` with transformers."""

from __future__ import annotations

from typing import Protocol

from retrieval_ko.errors import RetrievalError


class TextGenerator(Protocol):
    """A language model that answers prompts. It is called from several threads at once."""

    @property
    def name(self) -> str:
        """The model's name, as it stands in the pairs that it wrote."""

    def generate(self, prompt: str, *, seed: int) -> str:
        """Return the model's answer; the same prompt and seed give the same answer where the backend can promise it.

        Raises:
            AnswerError: there is no usable answer to this prompt; the next one may have one.
            BackendError: there will be no answer to any prompt.
        """


class AnswerError(RetrievalError):
    """The model gave no usable answer to one prompt."""


class BackendError(RetrievalError):
    """The backend cannot work at all: it is not running, or has no such model."""
