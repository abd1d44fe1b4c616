"""Four ways to cut text into terms, and the Kiwi pass over many texts: by processes, in order, each text analysed once."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import StrEnum
from itertools import chain
from multiprocessing import get_context, parent_process

from retrieval_ko.errors import RetrievalError
from retrieval_ko.term_cache import TermCache
from retrieval_ko.text import CONTENT_TAGS, morphemes, normalize

PIECE_CHARACTERS = 10_000
"""Kiwi's time grows with the square of a text's length; a longer text is analysed in pieces, cut after a sentence."""

BATCH_CHARACTERS = 20_000
"""What is sent to a process at once: a third of a second's work, so that Ctrl-C waits little and sending costs next to nothing."""

SPAWN_CHARACTERS = 500_000
"""A process loads Kiwi for two seconds; below this it costs more than it saves."""

_CJK = (
    "\u1100-\u119d\u119f-\u11ff\u3131-\u318c\u318e\ua960-\ua97c\uac00-\ud7fb"  # Hangul
    "\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3041-\u30ff"  # Hanja, Kana
)
# Left out: ㆍ and ᆞ (U+318D, U+119E), jamo by name that statutes write as a middle dot.
_RUNS = re.compile(f"([{_CJK}]+)|([^\\W_{_CJK}\u318d\u119e]+)")


class Tokenization(StrEnum):
    """How text becomes terms."""

    KIWI_CONTENT = "kiwi-content"
    """Kiwi's stems without particles and endings: `retrieval_ko.text.content_terms`."""
    KIWI_ALL = "kiwi-all"
    """All of Kiwi's morphemes, particles, endings and punctuation too."""
    BIGRAM = "bigram"
    """Character bigrams of each run of Hangul or Hanja; Latin words and numbers whole."""
    WHITESPACE = "whitespace"
    """Words as they stand between white space."""

    @property
    def needs_kiwi(self) -> bool:
        """Tell whether Kiwi reads the text, at about 60,000 characters a second and core."""
        return self in (Tokenization.KIWI_CONTENT, Tokenization.KIWI_ALL)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def terms_of(text: str, tokenization: Tokenization) -> list[str]:
    """Return the terms of one text, lower case, in order, with repetitions; no term holds white space."""
    normal = normalize(text)
    return _terms_of_analysis(_analyse(normal), tokenization) if tokenization.needs_kiwi else _terms_of_normal(normal, tokenization)


def terms_of_many(
    texts: Iterable[str],
    tokenization: Tokenization,
    *,
    workers: int = 1,
    cache: TermCache | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[list[str]]:
    """Yield `terms_of` of each text, in order, the same for any number of workers.

    Args:
        texts: what to cut; read as it is needed, a few batches ahead.
        tokenization: how.
        workers: processes for Kiwi (its own threads scale badly); 1 works in this process. With more, a script needs the usual
            `if __name__ == "__main__":`, since each process imports it anew. Little text never starts a process.
        cache: analyses of Kiwi from earlier runs; new ones are added. None: nothing is read or written.
        on_progress: told how many texts are done.

    Raises:
        RetrievalError: a process was killed, e.g. for want of memory.
        DataError: the cache is damaged.
    """
    normal = (normalize(text) for text in texts)
    if tokenization.needs_kiwi:
        terms = (_terms_of_analysis(analysis, tokenization) for analysis in _analyses(normal, workers, cache))
    else:
        terms = (_terms_of_normal(text, tokenization) for text in normal)
    for done, found in enumerate(terms, start=1):
        yield found
        if on_progress:
            on_progress(done)


def _terms_of_normal(text: str, tokenization: Tokenization) -> list[str]:
    lowered = text.lower()
    if tokenization is Tokenization.WHITESPACE:
        return lowered.split()
    terms: list[str] = []
    for run in _RUNS.finditer(lowered):
        characters = run[0]
        if run[1] is None or len(characters) == 1:
            terms.append(characters)
        else:
            terms += [characters[start : start + 2] for start in range(len(characters) - 1)]
    return terms


def _analyse(text: str) -> str:
    """Return Kiwi's analysis of a normalised text as one string: the forms, a line break, the tags, tabs between.

    A string goes between processes and into the cache much faster than a list of pairs. Normalised text holds neither tab nor line break.
    """
    found = [morpheme for piece in pieces(text) for morpheme in morphemes(piece)]
    return "\t".join(morpheme.form for morpheme in found) + "\n" + "\t".join(morpheme.tag for morpheme in found)


def _terms_of_analysis(analysis: str, tokenization: Tokenization) -> list[str]:
    forms, tags = analysis.split("\n")
    if not tags:
        return []
    pairs = zip(forms.split("\t"), tags.split("\t"), strict=True)
    everything = tokenization is Tokenization.KIWI_ALL
    return [form.lower().replace(" ", "_") for form, tag in pairs if everything or tag.startswith(CONTENT_TAGS)]


def pieces(text: str) -> Iterator[str]:
    """Cut a normalised text into pieces of at most 10,000 characters, after a sentence where there is one, else at white space.

    Joined they are the text; one that is short enough stays whole.
    """
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        limit = start + PIECE_CHARACTERS
        for mark in (". ", " "):
            cut = text.rfind(mark, start + PIECE_CHARACTERS // 2, limit)
            if cut >= 0:
                limit = cut + len(mark)
                break
        yield text[start:limit]
        start = limit
    yield text[start:]


def _analyses(texts: Iterable[str], workers: int, cache: TermCache | None) -> Iterator[str]:
    """Yield the analysis of each normalised text, in order."""
    batches = _batches(texts)
    if workers > 1:
        first: list[list[str]] = []
        while sum(map(len, chain.from_iterable(first))) < SPAWN_CHARACTERS and (batch := next(batches, None)):
            first.append(batch)
        enough = sum(map(len, chain.from_iterable(first))) >= SPAWN_CHARACTERS
        batches = chain(first, batches)
        if enough:
            yield from _analyses_by_processes(batches, workers, cache)
            return
    for batch in batches:
        known = cache.get(batch) if cache is not None else {}
        new = list(dict.fromkeys(text for text in batch if text not in known))
        found = dict(zip(new, _analyse_batch(new), strict=True))
        if cache is not None:
            cache.add(found)
        yield from (known.get(text) or found[text] for text in batch)


def _analyses_by_processes(batches: Iterable[list[str]], workers: int, cache: TermCache | None) -> Iterator[str]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_kiwi_worker)
    waiting: deque[tuple[list[str], dict[str, str], list[str], Future[list[str]] | None]] = deque()

    def finished() -> Iterator[str]:
        batch, known, new, future = waiting.popleft()
        found = dict(zip(new, future.result(), strict=True)) if future else {}
        if cache is not None:
            cache.add(found)
        return (known.get(text) or found[text] for text in batch)

    try:
        for batch in batches:
            known = cache.get(batch) if cache is not None else {}
            new = list(dict.fromkeys(text for text in batch if text not in known))
            waiting.append((batch, known, new, pool.submit(_analyse_batch, new) if new else None))
            if len(waiting) > 3 * workers:
                yield from finished()
        while waiting:
            yield from finished()
    except BrokenProcessPool as failure:
        raise RetrievalError(
            "A process that analysed text was killed, most likely for want of memory (each takes about 700 MB).",
            "Use fewer with --workers, or free some memory (`free -h`), and run the command again.",
        ) from failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _analyse_batch(texts: Sequence[str]) -> list[str]:
    return [_analyse(text) for text in texts]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 1
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def start_kiwi_worker() -> None:
    """Make a worker leave Ctrl-C to its parent, end when the parent is gone, and load Kiwi before the first batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    morphemes("")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
