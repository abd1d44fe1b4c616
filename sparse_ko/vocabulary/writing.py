"""From sources to a tokenizer's folder: tokenizer.json, tokenizer_config.json, and a card that says what it was learnt from.

tokenizer.json          WordPiece, as OpenSearch runs it
tokenizer_config.json   for transformers
vocabulary.json         the card: size, counts, SHA-256 of every source, versions
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import check_replaceable, new_folder, write_json
from sparse_ko.vocabulary.counting import count_pieces
from sparse_ko.vocabulary.learning import choose_pieces
from sparse_ko.vocabulary.sources import count_lines, hashes, read_texts, text_files
from sparse_ko.vocabulary.tokenizer import CONTINUED, SPECIAL_TOKENS, build_tokenizer

CARD = "vocabulary.json"
OWN_FILES = frozenset({"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", CARD})
SMALLEST, LARGEST = 8_000, 50_000
"""Sizes that can be asked for: below, single characters leave no room for words; above, a head costs more than its words are worth."""
LONGEST_TEXT_TOKENS = 512
"""Where the written tokenizer cuts a text; a model that reads less says so itself."""


class VocabularyCard(BaseModel):
    """What a vocabulary was learnt from, and what it holds."""

    model_config = ConfigDict(extra="forbid")

    size: int
    size_asked: int = Field(ge=SMALLEST, le=LARGEST)
    special: int
    single_characters: int
    words: int
    """Pieces of two and more characters that begin a word."""
    continuations: int
    """Pieces of two and more characters that go on with one: particles, endings, later parts of compounds."""
    texts: int
    characters: int
    pieces_seen: int
    """Different pieces in the texts, from which the vocabulary was chosen."""
    occurrences: int
    covered: float
    """Share of the occurrences whose piece the vocabulary holds whole."""
    rarest: int
    """How often the rarest chosen piece of two and more characters occurs."""
    share: float
    sources: dict[str, str]
    """Name → SHA-256 of every file that was read."""
    versions: dict[str, str]


def train_vocabulary(
    sources: Sequence[Path],
    size: int,
    out: Path,
    *,
    share: float = 1.0,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> VocabularyCard:
    """Learn a vocabulary and write its folder; the same sources give the same bytes, whatever the number of workers.

    Args:
        sources: files (JSON lines, plain text, `.zst`, `.gz`) and collections, of which passages, train queries and synonyms are read.
        size: pieces at most, 8,000 to 50,000.
        out: the folder; an earlier vocabulary there is replaced.
        share: of the lines to learn from, drawn by hash.
        workers: processes for Kiwi.
        on_progress: told (lines read, lines in all).

    Raises:
        UsageError: the size or the share is out of range, or `out` holds something else.
        DataError: a source is missing, damaged, or holds no text.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(f"A vocabulary of {size:,} pieces cannot be learnt.", f"Choose --size from {SMALLEST:,} to {LARGEST:,}.")
    if not 0 < share <= 1:
        raise UsageError(f"A share of {share} of the texts cannot be read.", "Choose --share above 0, up to 1.")
    check_replaceable(Path(out), OWN_FILES, CARD)
    files = text_files(sources)
    lines = count_lines(files)
    read = Counter[str]()

    def counted() -> Iterator[str]:
        for text in read_texts(files, share, (lambda done: on_progress(done, lines)) if on_progress else None):
            read["texts"] += 1
            read["characters"] += len(text)
            yield text

    counts = count_pieces(counted(), workers)
    if not counts:
        raise DataError(f"{', '.join(map(str, sources))}: there is no text to learn a vocabulary from.")
    pieces = choose_pieces(counts, size)
    long = [piece for piece in pieces[len(SPECIAL_TOKENS) :] if len(piece.removeprefix(CONTINUED)) > 1]
    card = VocabularyCard(
        size=len(pieces),
        size_asked=size,
        special=len(SPECIAL_TOKENS),
        single_characters=len(pieces) - len(SPECIAL_TOKENS) - len(long),
        words=sum(not piece.startswith(CONTINUED) for piece in long),
        continuations=sum(piece.startswith(CONTINUED) for piece in long),
        texts=read["texts"],
        characters=read["characters"],
        pieces_seen=len(counts),
        occurrences=counts.total(),
        covered=round(sum(counts[piece] for piece in pieces) / counts.total(), 6),
        rarest=min((counts[piece] for piece in long), default=0),
        share=share,
        sources=hashes(files),
        versions={library: version(library) for library in ("kiwipiepy", "kiwipiepy_model", "tokenizers")},
    )
    with new_folder(Path(out)) as target:
        build_tokenizer(pieces, LONGEST_TEXT_TOKENS).save_pretrained(str(target))
        write_json(target / CARD, card.model_dump())
    return card
