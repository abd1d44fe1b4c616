"""Which words are kin before any training: the two sides of a synonym pair, and the neighbours that Kiwi's language model knows.

A small collection can't teach from nothing that 월세 and 임대료 belong together. Two resources that a user has anyway can: the
bilingual terms of the collection, and the morpheme embeddings (CoNg) inside the Kiwi model, which is Apache-2.0 from 0.24 on.
The kinship only decides where the embedding vectors start; training moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import numpy as np
from scipy.sparse import csr_matrix

from retrieval_ko.records import SynonymPair
from retrieval_ko.text import similar_morphemes

NEIGHBOURS_ASKED = 200
"""Kiwi's neighbours that are looked through for words of the vocabulary."""
NEIGHBOURS_KEPT = 6
UNDERTRAINED_SIMILARITY = 0.9
"""A morpheme whose nearest neighbour is nearer than this was seen too rarely: its neighbours are chance (방화벽 → 라이드 .92)."""


def synonym_kinship(stems: Sequence[str], pairs: Iterable[SynonymPair], stems_of: Callable[[str], list[str]]) -> csr_matrix:
    """Return how strongly the stems of the two sides of synonym pairs are kin, shape [stems, stems], symmetric, 0 to 1.

    Args:
        stems: the vocabulary's pieces without `##`.
        pairs: Korean and English terms.
        stems_of: cuts a term into stems. A pair of one stem each weighs 1; with n and m stems each of the n·m ties weighs 1/√(nm).
    """
    number = {stem: place for place, stem in enumerate(stems)}
    ties: dict[tuple[int, int], float] = {}
    for pair in pairs:
        sides = [sorted({number[stem] for stem in stems_of(term) if stem in number}) for term in (pair.ko, pair.en)]
        weight = 1 / max(len(sides[0]) * len(sides[1]), 1) ** 0.5
        for one, other in product(*sides):
            if one != other:
                ties[one, other] = ties[other, one] = max(weight, ties.get((one, other), 0.0))
    return _matrix(ties, len(stems))


def morpheme_kinship(stems: Sequence[str]) -> csr_matrix:
    """Return how strongly stems are kin by Kiwi's morpheme embeddings, shape [stems, stems], symmetric, rows sum to about 1.

    Only stems of two and more characters that are one morpheme take part, and only neighbours within `stems`.
    """
    number = {stem: place for place, stem in enumerate(stems)}
    ties: dict[tuple[int, int], float] = {}
    for stem, place in number.items():
        if len(stem) < 2:
            continue
        neighbours = similar_morphemes(stem, NEIGHBOURS_ASKED)
        if not neighbours or neighbours[0][1] > UNDERTRAINED_SIMILARITY:
            continue
        known = [(number[form], similarity) for form, similarity in neighbours if len(form) > 1 and form in number and form != stem]
        kept = known[:NEIGHBOURS_KEPT]
        total = sum(similarity for _, similarity in kept)
        for other, similarity in kept:
            ties[place, other] = max(similarity / total, ties.get((place, other), 0.0))
    one_way = _matrix(ties, len(stems))
    return csr_matrix((one_way + one_way.T) / 2)


def _matrix(ties: dict[tuple[int, int], float], size: int) -> csr_matrix:
    rows, columns = np.array(list(ties), dtype=np.int64).reshape(-1, 2).T
    return csr_matrix((np.array(list(ties.values()), dtype=np.float32), (rows, columns)), shape=(size, size))
