"""A WordPiece vocabulary for Korean, learnt on Kiwi-segmented text.

At run time it is plain WordPiece (longest match first), so OpenSearch's own tokenizer cuts a text exactly as Python does; Kiwi
only decides which pieces are worth having. Stems and nouns become whole words, particles and endings become `##` pieces.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from retrieval_ko.errors import DataError
from sparse_ko.vocabulary.counting import count_pieces
from sparse_ko.vocabulary.tokenizer import CONTINUED, SPECIAL_TOKENS

BASIC_PUNCTUATION = "!?.,:;()%-/~\"'"
RARE_CHARACTER_WORTH = 10
"""How many occurrences of a word one of a rare character (Hanja, ㎡, é) counts for: a word without a piece of its own falls apart into
syllables and is still found by them, a character without one is unknown and lost. On an encyclopaedia's passages, with 16,000 pieces,
1, 4, 10 and 20 leave 0.37, 0.17, 0.11 and 0.09 % unknown, at 2.54, 2.56, 2.58 and 2.60 pieces a word."""


@cache
def common_syllables() -> tuple[str, ...]:
    """Return the 2,350 Hangul syllables of KS X 1001, which cover practically all modern Korean text."""
    syllables = (chr(code) for code in range(0xAC00, 0xD7A4))
    return tuple(char for char in syllables if _in_ks_x_1001(char))


def _in_ks_x_1001(char: str) -> bool:
    # the codec spells other syllables out as eight bytes, filler and three jamo
    return len(char.encode("euc_kr")) == 2


def learn_vocabulary(texts: Iterable[str], size: int, workers: int = 1) -> list[str]:
    """Return the pieces of a vocabulary, most useful first after the special tokens and single characters.

    Args:
        texts: what to learn from; the more like the passages and queries to come, the better. Read as a stream.
        size: number of pieces at most. Specials, common syllables, letters and digits take about 4,800 of them.
        workers: processes for Kiwi; they change no piece.

    Raises:
        DataError: `size` leaves no room for words, or `texts` hold none.
    """
    return choose_pieces(count_pieces(texts, workers), size)


def choose_pieces(counts: Mapping[str, int], size: int) -> list[str]:
    """Return the vocabulary that `learn_vocabulary` makes of these counts.

    Raises:
        DataError: as there.
    """
    if not counts:
        raise DataError("There is no text to learn a vocabulary from.")
    basic = set(common_syllables()) | set(string.ascii_lowercase + string.digits)
    singles = {form for char in basic for form in (char, CONTINUED + char)} | set(BASIC_PUNCTUATION)
    room = size - len(SPECIAL_TOKENS) - len(singles)
    if room <= 0:
        raise DataError(
            f"A vocabulary of {size:,} has no room for words: special tokens and single characters take {size - room:,}.",
            "Set vocabulary.size to 8000 or more.",
        )
    worth = {piece: count for piece, count in counts.items() if len(piece.removeprefix(CONTINUED)) > 1}
    for char, count in _characters(counts).items():
        if count >= 2:
            worth |= {form: RARE_CHARACTER_WORTH * count for form in _forms(char) if form not in singles}
    chosen = sorted(worth, key=lambda piece: (-worth[piece], piece))[:room]
    characters = [piece for piece in chosen if len(piece.removeprefix(CONTINUED)) == 1]
    words = [piece for piece in chosen if len(piece.removeprefix(CONTINUED)) > 1]
    return [*SPECIAL_TOKENS, *sorted([*singles, *characters], key=lambda piece: (piece.startswith(CONTINUED), piece)), *words]


def _characters(counts: Mapping[str, int]) -> Counter[str]:
    seen = Counter[str]()
    for piece, count in counts.items():
        for char in piece.removeprefix(CONTINUED):
            seen[char] += count
    return seen


def _forms(char: str) -> tuple[str, ...]:
    """Return the pieces that a single character needs: punctuation and Hanja always stand alone (the tokenizer puts spaces around them)."""
    alone = unicodedata.category(char).startswith(("P", "S")) or unicodedata.name(char, "").startswith("CJK")
    return (char,) if alone else (char, CONTINUED + char)
