"""A model behind an Ollama server: POST /api/generate without streaming, GET /api/tags for what is pulled.

The protocol: docs/api.md of the Ollama project. A server on another machine reads the passages; by default it is this one.
"""

from __future__ import annotations

import json
import logging
import time

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, NewConnectionError, ReadTimeoutError, TimeoutError

from retrieval_ko.errors import UsageError
from retrieval_ko.synthesis.backend import AnswerError, BackendError

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://127.0.0.1:11434"
ATTEMPTS, ATTEMPTS_AFTER_TIMEOUT = 4, 2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
CONNECT_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 300.0
"""A large model on two cores writes 5 tokens a second, and the first request also loads it."""

_LONGEST_ANSWER_TOKENS = 512
_CONTEXT_TOKENS = 4096
"""Ollama's own default was 2,048 for long, in which the end of a long passage's prompt, and with it the task, is cut away."""


class OllamaBackend:
    """Asks an Ollama server; connection faults, 429, 5xx, broken and empty answers are tried again after growing pauses.

    Args:
        model: a model that is pulled there, e.g. "exaone3.5:7.8b"; without a tag ":latest" is meant.
        url: the server.
        timeout_seconds: how long one answer may take.
        temperature: 0 writes the likeliest words; 0.7 gives queries of different kinds.
        pause_seconds: before the first repetition; it doubles from one to the next.

    Raises:
        UsageError: the URL is none.
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        *,
        timeout_seconds: float = ANSWER_TIMEOUT_SECONDS,
        temperature: float = 0.7,
        pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._model = model
        self._url = _checked_url(url)
        self._temperature = temperature
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._pool = urllib3.PoolManager(
            maxsize=32, retries=False, timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=timeout_seconds)
        )

    @property
    def name(self) -> str:
        """The model's name at the server."""
        return self._model

    def check(self) -> None:
        """Make sure that the server runs and has the model.

        Raises:
            BackendError: it does not, with the command that mends it.
        """
        try:
            known = json.loads(self._pool.request("GET", f"{self._url}/api/tags", timeout=CONNECT_TIMEOUT_SECONDS * 2).data)
            names = {str(model["name"]) for model in known["models"]}
        except HTTPError as failure:
            raise self._not_running(failure) from failure
        except (ValueError, TypeError, KeyError) as failure:
            raise BackendError(f"What answers at {self._url} is no Ollama server: it has no list of models at /api/tags.") from failure
        if not {self._model, f"{self._model}:latest"} & names:
            raise self._not_pulled(names)

    def generate(self, prompt: str, *, seed: int) -> str:
        """Return the model's answer; a line that was cut off at the limit of 512 tokens is left out.

        Raises:
            AnswerError: every attempt failed.
            BackendError: the server does not run any more, refuses us, or lost the model.
        """
        pause = self._pause_seconds
        for attempt in range(ATTEMPTS):
            try:
                return self._ask(prompt, seed + attempt)
            except _TryAgainError as failure:
                if attempt + 1 >= failure.attempts:
                    raise failure.final from failure
                wait = min(failure.retry_after_seconds or pause, LONGEST_PAUSE_SECONDS)
                logger.debug("%s; once more in %.1f s", failure.final.problem, wait)
                time.sleep(wait)
                pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, prompt: str, seed: int) -> str:
        """Ask once. The seed differs from attempt to attempt, since an empty answer would only come again."""
        options = {"seed": seed, "temperature": self._temperature, "num_predict": _LONGEST_ANSWER_TOKENS, "num_ctx": _CONTEXT_TOKENS}
        body = {"model": self._model, "prompt": prompt, "stream": False, "options": options}
        try:
            response = self._pool.request("POST", f"{self._url}/api/generate", json=body)
        except ReadTimeoutError as failure:
            slow = AnswerError(
                f"{self._url} did not answer within {self._timeout_seconds:g} seconds.",
                "Give it more with --timeout, or choose a smaller model.",
            )
            raise _TryAgainError(slow, attempts=ATTEMPTS_AFTER_TIMEOUT) from failure
        except (NewConnectionError, MaxRetryError, TimeoutError) as failure:
            raise _TryAgainError(self._not_running(failure)) from failure
        except HTTPError as failure:
            raise _TryAgainError(AnswerError(f"{self._url} broke the connection: {failure}")) from failure
        if response.status != 200:
            raise self._refusal(response)
        return self._text_of(response.data)

    def _text_of(self, data: bytes) -> str:
        try:
            answer = json.loads(data)
            text, done = answer["response"], answer.get("done", True)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _TryAgainError(AnswerError(f"{self._url} answered what is not Ollama's JSON: {_shown(data)}")) from None
        if not isinstance(text, str) or not done:
            raise _TryAgainError(AnswerError(f"{self._url} answered what is not Ollama's JSON: {_shown(data)}"))
        if answer.get("done_reason") == "length":
            text = text.rpartition("\n")[0]
        if not text.strip():
            raise _TryAgainError(AnswerError(f"The model {self._model} answered nothing."))
        return text

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> Exception:
        """Return what to raise for a status that is not 200."""
        problem = f"{self._url} answered {response.status}: {_error_of(response.data)}"
        if response.status in {408, 425, 429} or response.status >= 500:
            return _TryAgainError(AnswerError(problem), retry_after_seconds=_retry_after(response))
        if response.status == 404 and "model" in _error_of(response.data).lower():
            return self._not_pulled(set())
        if response.status == 400:
            return AnswerError(problem)
        return BackendError(problem, "Check --url: it is the server's root, such as http://127.0.0.1:11434.")

    def _not_running(self, failure: Exception) -> BackendError:
        return BackendError(
            f"No Ollama server answers at {self._url} ({_cause(failure)}).",
            "Start it with `ollama serve`, or name another one with --url. What was answered is kept: the same command goes on from there.",
        )

    def _not_pulled(self, names: set[str]) -> BackendError:
        known = f" It has: {', '.join(sorted(names)[:10])}." if names else ""
        return BackendError(
            f"The Ollama server at {self._url} has no model {self._model!r}.{known}", f"Fetch it there with: ollama pull {self._model}"
        )


class _TryAgainError(Exception):
    """An attempt failed in a way that the next one may not; `final` is what to raise when none is left."""

    def __init__(self, final: AnswerError | BackendError, *, attempts: int = ATTEMPTS, retry_after_seconds: float = 0) -> None:
        super().__init__(final.problem)
        self.final = final
        self.attempts = attempts
        self.retry_after_seconds = retry_after_seconds


def _checked_url(url: str) -> str:
    try:
        parts = urllib3.util.parse_url(url)
    except LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise UsageError(f"{url!r} is not the URL of an Ollama server.", f"Write it with http:// or https://, such as {DEFAULT_URL}.")
    if parts.auth:
        raise UsageError("The URL of the Ollama server holds a password, which every list of processes would show.", "Leave it out.")
    return url.rstrip("/")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    try:
        return max(urllib3.Retry().get_retry_after(response) or 0, 0)
    except HTTPError:  # the header is neither a number nor a date
        return 0


def _cause(failure: Exception) -> str:
    reason = failure.reason if isinstance(failure, MaxRetryError) and failure.reason else failure
    return str(reason).rpartition(": ")[2]


def _shown(data: bytes) -> str:
    return repr(data[:80].decode("utf-8", "replace"))


def _error_of(data: bytes) -> str:
    """Return the server's own words."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, TypeError, KeyError):
        return _shown(data)
