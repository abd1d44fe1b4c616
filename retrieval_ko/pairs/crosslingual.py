"""Cross-lingual queries: 검색 모델 → search 모델, 검색 model, search model."""

from __future__ import annotations

import random
from itertools import product

from retrieval_ko.pairs.marks import is_protected, marks, protected_spans
from retrieval_ko.synonyms.dictionary import Match, SynonymDictionary
from retrieval_ko.synonyms.particles import particle_after
from retrieval_ko.text import Morpheme, morphemes, normalize

MOST_TERMS = 6
"""Terms of one query that are exchanged; 2^6 subsets are more than any cap."""


def crosslingual_variants(text: str, dictionary: SynonymDictionary, count: int, seed: str) -> list[str]:
    """Return up to `count` variants of a query with dictionary terms in the other language, drawn from all non-empty subsets.

    Terms are matched on morphemes, as whole words, longest first, in both directions; particles stay and take the form that fits
    the new word (임대인이 → landlord가). Numbers, dates, article numbers and names of laws are not touched.

    Args:
        text: the query.
        dictionary: the training list. Variants with a term of the test list would spoil the test.
        count: how many at most; a smaller count gives a beginning of the same list.
        seed: decides the draw; the same for the same query whatever comes before it.
    """
    text = normalize(text)
    analysis = morphemes(text)
    spans = protected_spans(text, analysis)
    matches = [match for match in dictionary.matches(text, analysis) if not is_protected(match.start, match.end, spans)]
    draw = random.Random(seed)
    if len(matches) > MOST_TERMS:
        matches = sorted(draw.sample(matches, MOST_TERMS))
    choices = [choice for choice in product(*(("", *match.replacements) for match in matches)) if any(choice)]
    draw.shuffle(choices)
    variants: list[str] = []
    for choice in choices:
        if len(variants) == count:
            break
        variant = _replaced(text, analysis, list(zip(matches, choice, strict=True)))
        if variant != text and variant not in variants and marks(variant) == marks(text):
            variants.append(variant)
    return variants


def _replaced(text: str, analysis: list[Morpheme], choice: list[tuple[Match, str]]) -> str:
    after = {morpheme.start: morpheme for morpheme in analysis if morpheme.tag.startswith("J")}
    parts, position = [], 0
    for match, replacement in choice:
        if not replacement:
            continue
        parts += [text[position : match.start], replacement]
        position = match.end
        particle = after.get(match.end)
        if particle and text[particle.start : particle.end] == particle.form:
            parts.append(particle_after(replacement, particle.form))
            position = particle.end
    return "".join([*parts, text[position:]])
