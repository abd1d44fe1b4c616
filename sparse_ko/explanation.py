"""Why a passage matched: the shared tokens, where they stand in both texts, and those that no text contains."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sparse_ko.model import SparseEncoder, TokenMatch


class MarkedSpan(NamedTuple):
    """A stretch of a text, in characters, and the match that its token has; None: its token adds nothing."""

    start: int
    end: int
    match: TokenMatch | None


@dataclass(frozen=True)
class ReadText:
    """A text as its encoder reads it: its tokens with their places, up to where it is cut."""

    text: str
    tokens: list[tuple[str, int, int]]
    """(token, start, end) in characters of `text` as it was given; the tokenizer's own NFC and lower case are undone."""
    read_characters: int
    """Where the last token ends."""
    is_cut: bool
    """Whether the text goes on after the last token that fits."""

    def contains(self, token: str) -> bool:
        """Tell whether the text has the token; one that it has not is an expansion where it has weight."""
        return any(token == own for own, _, _ in self.tokens)

    def spans(self, matches: dict[str, TokenMatch]) -> list[MarkedSpan]:
        """Return the text cut into stretches that joined are the text again, each with the match of its token."""
        spans: list[MarkedSpan] = []
        position = 0
        for token, start, end in self.tokens:
            if start < position or start == end:  # tokens of one character (NFKC, bytes) share their place; the first one has it
                continue
            if start > position:
                spans.append(MarkedSpan(position, start, None))
            spans.append(MarkedSpan(start, end, matches.get(token)))
            position = end
        if position < len(self.text):
            spans.append(MarkedSpan(position, len(self.text), None))
        return spans


@dataclass(frozen=True)
class Explanation:
    """One query and one passage."""

    query: ReadText
    passage: ReadText
    matches: list[TokenMatch]
    """The tokens that both sides give weight, the largest contribution first."""

    @property
    def score(self) -> float:
        """What the passage is ranked by: the contributions' sum."""
        return sum(match.contribution for match in self.matches)

    @property
    def expansions(self) -> list[TokenMatch]:
        """Return the matches whose token is missing in one of the texts or in both: the encoder's doing."""
        return [match for match in self.matches if not (self.query.contains(match.token) and self.passage.contains(match.token))]

    def query_spans(self) -> list[MarkedSpan]:
        """Return the query cut into stretches with their matches."""
        return self.query.spans({match.token: match for match in self.matches})

    def passage_spans(self) -> list[MarkedSpan]:
        """Return the passage cut into stretches with their matches."""
        return self.passage.spans({match.token: match for match in self.matches})


def explain(encoder: SparseEncoder, query: str, passage: str) -> Explanation:
    """Return why `passage` scores as it does for `query`.

    Args:
        encoder: whose weights count.
        query: as a person typed it.
        passage: title and text, as `Passage.passage_text` joins them.
    """
    return Explanation(read(encoder, query), read(encoder, passage), encoder.explain(query, passage))


def read(encoder: SparseEncoder, text: str) -> ReadText:
    """Return a text with its tokens and their places.

    Args:
        encoder: whose tokenizer cuts it; a fast one, which knows where in the text as given each token came from.
        text: any; what is over the encoder's limit has no tokens.
    """
    tokenizer = encoder.tokenizer
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=True, max_length=encoder.max_tokens)
    ids, offsets, special = encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"]
    names = tokenizer.convert_ids_to_tokens(ids)
    ends = _letter_ends(text)
    tokens = [
        (str(name), start, ends[end - 1])
        for name, (start, end), mark in zip(names, offsets, special, strict=True)
        if not mark and start < end
    ]
    reached = max((end for _, _, end in tokens), default=0)
    return ReadText(text, tokens, reached, bool(text[reached:].strip()) and len(ids) >= encoder.max_tokens)


def _letter_ends(text: str) -> list[int]:
    """Return for each character where the letter ends that it is a part of.

    In NFD (file names of macOS, some crawls) 금 is three characters, and a tokenizer that composes them reports only the first one's place.
    """
    if unicodedata.is_normalized("NFC", text):
        return list(range(1, len(text) + 1))
    starts = [0]
    for place in range(1, len(text)):
        letter = text[starts[-1] : place]
        composed = unicodedata.normalize("NFC", letter + text[place])
        if composed == unicodedata.normalize("NFC", letter) + unicodedata.normalize("NFC", text[place]):
            starts.append(place)
    ends = []
    for start, end in pairwise([*starts, len(text)]):
        ends += [end] * (end - start)
    return ends
