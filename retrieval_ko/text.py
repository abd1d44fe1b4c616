"""Korean text: one normal form, Kiwi's morphemes, and the content terms that an honest BM25 counts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

CONTENT_TAGS = ("NNG", "NNP", "NNB", "NR", "NP", "VV", "VA", "MAG", "XR", "XPN", "XSN", "SL", "SH", "SN", "W_")
"""Kiwi tags that carry meaning for search: nouns, verb and adjective stems, adverbs, roots, noun affixes (비-, -률), foreign
words, hanja, numbers, and web things (addresses, hashtags). Particles (J*), endings (E*), copulas and punctuation are left out."""


class Morpheme(NamedTuple):
    """One morpheme of a text: its dictionary form, its tag, and where it stands in the text, in characters."""

    form: str
    tag: str
    start: int
    end: int


def normalize(text: str) -> str:
    """Return `text` in NFC, with control characters and runs of white space as one space.

    macOS file names and some crawls hold Hangul as separate jamo (NFD); in NFC the same word is the same string.
    """
    composed = unicodedata.normalize("NFC", text)
    visible = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} and char != "\u200d" else char for char in composed)
    return " ".join(visible.split())


@cache
def _kiwi() -> Kiwi:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


def _morphemes_of(tokens: Iterable[object]) -> list[Morpheme]:
    return [Morpheme(token.form, token.tag, token.start, token.end) for token in tokens]  # type: ignore[attr-defined]


def morphemes(text: str) -> list[Morpheme]:
    """Return Kiwi's analysis of one text. The first call loads the analyser, about a second."""
    return _morphemes_of(_kiwi().tokenize(text))


def morphemes_of_many(texts: Iterable[str]) -> Iterator[list[Morpheme]]:
    """Yield the analysis of each text, in order."""
    for tokens in _kiwi().tokenize(list(texts)):
        yield _morphemes_of(tokens)


def _content_of(analysis: Iterable[Morpheme]) -> list[str]:
    return [morpheme.form.lower().replace(" ", "_") for morpheme in analysis if morpheme.tag.startswith(CONTENT_TAGS)]


def content_terms(text: str) -> list[str]:
    """Return the terms of a text that search should count, lower case, in order, with repetitions.

    They hold no white space, so joined by spaces they can stand in an OpenSearch field with the `whitespace` analyzer.
    """
    return _content_of(morphemes(normalize(text)))


def content_terms_of_many(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield `content_terms` of each text, in order."""
    for analysis in morphemes_of_many(normalize(text) for text in texts):
        yield _content_of(analysis)


def similar_morphemes(form: str, size: int) -> list[tuple[str, float]]:
    """Return the morphemes that Kiwi's language model holds most similar to `form`, with their similarity, nearest first.

    Empty where `form` is not one content morpheme that the model knows.
    """
    analysis = morphemes(form)
    if len(analysis) != 1 or not analysis[0].tag.startswith(("NNG", "NNP", "VV", "VA", "MAG", "XR")):
        return []
    try:
        found = _kiwi().most_similar_morphemes((analysis[0].form, analysis[0].tag.split("-")[0]), top_n=size)
    except ValueError:  # Kiwi's way to say that its embeddings lack this morpheme
        return []
    return [(morpheme.form, float(morpheme.score)) for morpheme in found]


def surface_chunks(text: str) -> list[list[str]]:
    """Cut each white-space word of a text into the stretches of its surface that Kiwi's morphemes cover.

    "보증금을 못했다" → [["보증금", "을"], ["못", "했", "다"]]: a contraction (했 = 하 + 었) is never cut inside a character, so the chunks
    of a word joined are the word. A vocabulary learnt from them keeps stems whole and particles apart.
    """
    starts: set[int] = set()
    blocked: set[int] = set()
    for morpheme in morphemes(text):
        starts.add(morpheme.start)
        blocked.update(range(morpheme.start + 1, morpheme.end))
    words: list[list[str]] = []
    position = 0
    for word in text.split():
        begin = text.index(word, position)
        position = begin + len(word)
        cuts = [begin, *(i for i in range(begin + 1, position) if i in starts and i not in blocked), position]
        words.append([text[left:right] for left, right in pairwise(cuts)])
    return words
