"""How often each piece occurs in Kiwi-segmented text, by one process or several, with the same result."""

from __future__ import annotations

import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import get_context

from tokenizers import pre_tokenizers

from retrieval_ko.errors import RetrievalError
from retrieval_ko.terms import BATCH_CHARACTERS, SPAWN_CHARACTERS, pieces, start_kiwi_worker
from retrieval_ko.text import normalize, surface_chunks
from sparse_ko.vocabulary.tokenizer import CONTINUED, normalizer

LONGEST_PIECE_CHARACTERS = 20


def count_pieces(texts: Iterable[str], workers: int = 1) -> Counter[str]:
    """Return how often each stretch of a morpheme occurs, `##` before those that go on with a word.

    Args:
        texts: read as they are needed.
        workers: processes for Kiwi, which reads about 100,000 characters a second and core; 1 works in this process. With more, a
            script needs the usual `if __name__ == "__main__":`. Little text never starts a process. Sums do not depend on who adds them.

    Raises:
        RetrievalError: a process was killed, e.g. for want of memory.
    """
    batches = _batches(texts)
    first: list[list[str]] = []
    if workers > 1:
        while sum(map(len, chain.from_iterable(first))) < SPAWN_CHARACTERS and (batch := next(batches, None)):
            first.append(batch)
    enough = sum(map(len, chain.from_iterable(first))) >= SPAWN_CHARACTERS
    batches = chain(first, batches)
    total: Counter[str] = Counter()
    for counts in _by_processes(batches, workers) if enough else map(_count_batch, batches):
        total.update(counts)
    return total


def _by_processes(batches: Iterable[list[str]], workers: int) -> Iterator[Counter[str]]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_kiwi_worker)
    waiting: deque[Future[Counter[str]]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(_count_batch, batch))
            if len(waiting) > 3 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as failure:
        raise RetrievalError(
            "A process that analysed text was killed, most likely for want of memory (each takes about 700 MB).",
            "Use fewer with --workers, or free some memory (`free -h`), and run the command again.",
        ) from failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _count_batch(texts: Sequence[str]) -> Counter[str]:
    clean, splitter = normalizer(), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        for part in pieces(normalize(clean.normalize_str(normalize(text)))):
            for chunks in surface_chunks(part):
                _count_word(chunks, splitter, counts)
    return counts


def _count_word(chunks: Sequence[str], splitter: pre_tokenizers.PreTokenizer, counts: Counter[str]) -> None:
    goes_on = False
    for chunk in chunks:
        for part, _ in splitter.pre_tokenize_str(chunk):
            if len(part) == 1 and unicodedata.category(part).startswith(("P", "S")):
                goes_on = False
                counts[part] += 1
            elif len(part) <= LONGEST_PIECE_CHARACTERS:
                counts[CONTINUED + part if goes_on else part] += 1
                goes_on = True
