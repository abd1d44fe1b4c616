"""One batch out of the shares of all processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training_ko.losses.embedded import NO_DOCUMENT, Embedded
from training_ko.losses.features import NO_KEY, Features
from training_ko.losses.processes import anywhere, gathered, process_number


def put_together(features: Features, own: Sequence[Tensor | None]) -> tuple[Embedded, list[Tensor]]:
    """Return the whole batch, without gradient, and where this process's rows stand in it.

    Args:
        features: this process's share.
        own: its weights of queries, documents, Korean and English terms, shape [n, V] each, None for no texts.

    Returns:
        The batch, its documents in the order of the processes, each key once. And per kind of texts an int64 [n]:
        each row's place in the batch, -1 where another copy of the text is counted.
    """
    device = features.document_keys.device
    everyone = _gathered_weights(own, device)
    queries, documents, korean, english = (None if parts is None else torch.cat(parts) for parts in everyone)
    width = max((weights.shape[1] for weights in (queries, documents, korean, english) if weights is not None), default=0)

    keys = _Keys(gathered(features.document_keys))
    documents = torch.zeros(0, width, device=device) if documents is None else documents[keys.counted]
    queries = documents.new_zeros(0, width) if queries is None else queries
    batch = Embedded(
        queries=queries,
        documents=documents,
        positive=torch.cat(gathered(keys.own_places[features.positive])),
        candidates=torch.cat(gathered(_placed(features.candidates, keys.own_places), NO_DOCUMENT)),
        relevant=keys.found(torch.cat(gathered(features.relevant_keys, NO_KEY))),
        teacher=_gathered_teacher(features),
        korean=korean,
        english=english,
        dimension_counts=features.dimension_counts,
    )
    starts = [0 if parts is None else sum(len(part) for part in parts[: process_number()]) for parts in everyone]
    places = [
        torch.arange(start, start + (0 if weights is None else len(weights)), device=device)
        for start, weights in zip(starts, own, strict=True)
    ]
    places[1] = keys.own_counted_places
    return batch, places


class _Keys:
    """The keys of all processes' documents, and which of several equal ones is counted: the first."""

    def __init__(self, by_process: list[Tensor]) -> None:
        keys = torch.cat(by_process)
        rows = torch.arange(len(keys), device=keys.device)
        self._sorted, number = torch.unique(keys, return_inverse=True)
        first = torch.full_like(self._sorted, len(keys)).scatter_reduce(0, number, rows, "amin")
        self.counted, order = first.sort()
        """Rows of the gathered documents that make up the batch."""
        self._place = torch.empty_like(order)  # of each key in sorted order
        self._place[order] = torch.arange(len(order), device=keys.device)
        start = sum(len(part) for part in by_process[: process_number()])
        own = slice(start, start + len(by_process[process_number()]))
        self.own_places = self._place[number][own]
        """Where each document of this process stands in the batch."""
        self.own_counted_places = torch.where(first[number][own] == rows[own], self.own_places, -1)
        """The same, and -1 for a copy that is not counted."""

    def found(self, keys: Tensor) -> Tensor:
        """Return which documents the keys, int64 [B, R], name, bool [B, D]."""
        count = len(self._sorted)
        named = torch.zeros(len(keys), count + 1, dtype=torch.bool, device=keys.device)  # the last column takes what is not in the batch
        if count and keys.numel():
            number = torch.searchsorted(self._sorted, keys).clamp(max=count - 1)
            named.scatter_(1, torch.where(self._sorted[number] == keys, self._place[number], count), True)
        return named[:, :count]


def _placed(candidates: Tensor, places: Tensor) -> Tensor:
    if not len(places):
        return candidates
    return torch.where(candidates >= 0, places[candidates.clamp(min=0)], NO_DOCUMENT)


def _gathered_weights(own: Sequence[Tensor | None], device: torch.device) -> list[list[Tensor] | None]:
    """Return each kind's weights by process, 32 bits at least; None for a kind that no process has."""
    wide = anywhere(any(weights is not None and weights.dtype == torch.float64 for weights in own), device)
    dtype = torch.float64 if wide else torch.float32
    return [
        gathered((torch.zeros(0, 0, device=device) if weights is None else weights.detach()).to(dtype))
        if anywhere(weights is not None, device)
        else None
        for weights in own
    ]


def _gathered_teacher(features: Features) -> Tensor | None:
    if not anywhere(features.teacher is not None, features.document_keys.device):
        return None
    missing = torch.full(features.candidates.shape, torch.nan, device=features.candidates.device)
    return torch.cat(gathered(missing if features.teacher is None else features.teacher.float(), torch.nan))
