"""Which examples are the batch of a step: a pure function of seed and step, sliced over the processes.

No sampler keeps a state, so a run is resumed at any step by asking for that step, and one and two processes train on the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset

from retrieval_ko.records import SynonymPair
from training_ko.collator import Collator, Drawn
from training_ko.data import Example, Source
from training_ko.losses.features import Features

_ORDER_OF_SOURCES, _ORDER_OF_EXAMPLES, _NEGATIVES = range(3)


class BatchOrder:
    """The order of the batches of several sources.

    An epoch draws from every source in proportion to weight × examples, and as many batches in all as it takes to see every example
    once. A batch comes from one source, since another source's passages would be told apart by their kind. A source that is drawn more
    or less often than once through goes on in the next epoch where it stopped, shuffled anew each time it is through. Its batches are
    of equal size but for one example: a last batch of two would have no negatives. Examples with the same answer are dealt to different
    batches as far as there are so many: in one batch they would have one negative less.

    Args:
        answers: of each source, a number for the answer of each example; equal numbers are one answer.
        weights: of each source.
        batch_size: examples a batch, at most.
        seed: of every order.
    """

    def __init__(self, answers: Sequence[Sequence[int]], weights: Sequence[float], batch_size: int, seed: int) -> None:
        self._answers = [np.asarray(numbers, dtype=np.int64) for numbers in answers]
        self._seed = seed
        sizes = [len(numbers) for numbers in answers]
        self._through = [-(-size // batch_size) for size in sizes]
        """Batches it takes to go through each source."""
        self._drawn = _allotted(sum(self._through), [weight * size for weight, size in zip(weights, sizes, strict=True)])
        self.steps_per_epoch = sum(self._drawn)
        self._sources = lru_cache(maxsize=2)(self._order_of_sources)
        self._shuffled = lru_cache(maxsize=2 * len(sizes))(self._order_of_examples)

    def batch(self, step: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the number of the source and the numbers of its examples for a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._sources(epoch)
        source = int(order[place])
        earlier = epoch * self._drawn[source] + int((order[:place] == source).sum())
        pass_through, part = divmod(earlier, self._through[source])
        return source, self._shuffled(source, pass_through)[part :: self._through[source]]

    def _order_of_sources(self, epoch: int) -> npt.NDArray[np.int64]:
        order = np.repeat(np.arange(len(self._drawn)), self._drawn)
        return np.random.default_rng([self._seed, _ORDER_OF_SOURCES, epoch]).permutation(order)

    def _order_of_examples(self, source: int, pass_through: int) -> npt.NDArray[np.int64]:
        """Return all examples in chance order, those with the same answer one after the other; every n-th is a batch."""
        chance = np.random.default_rng([self._seed, _ORDER_OF_EXAMPLES, source, pass_through])
        answers = self._answers[source]
        place_of_answer = chance.permutation(answers.max() + 1)
        return np.lexsort((chance.permutation(len(answers)), place_of_answer[answers]))


def _allotted(total: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers in proportion to `shares` that sum to `total`, at least 1 each (then to a little more): largest remainders."""
    exact = [total * share / sum(shares) for share in shares]
    whole = [int(number) for number in exact]
    by_remainder = sorted(range(len(shares)), key=lambda place: (whole[place] - exact[place], place))
    for place in by_remainder[: total - sum(whole)]:
        whole[place] += 1
    return [max(number, 1) for number in whole]


@dataclass(frozen=True)
class Shares:
    """Which part of every batch is this process's."""

    process: int = 0
    processes: int = 1

    def of(self, count: int) -> slice:
        """Return this process's part of `count` things; all parts in the order of the processes are the whole."""
        return slice(self.process * count // self.processes, (self.process + 1) * count // self.processes)


def order_of(sources: Sequence[Source], batch_size: int, seed: int) -> BatchOrder:
    """Return the order of the batches of sources."""
    return BatchOrder([_answers(source) for source in sources], [source.weight for source in sources], batch_size, seed)


def _answers(source: Source) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(example.positive, len(numbers)) for example in source.examples]


class StepBatches(Dataset[dict[str, Features]]):
    """This process's share of the batch of every step, `[step]` → {"features": Features}.

    Args:
        sources: of examples.
        order: in which their batches come.
        collator: makes tensors.
        steps: of the whole run.
        negatives: (hard, random) negatives that are drawn for every example.
        seed: of these draws.
        terms: synonym pairs of the cross-lingual loss; empty: it is off.
        terms_a_step: synonym pairs a step, over all processes.
        shares: this process's part.
        dimensions: (number of a step, queries of its whole batch) → `Features.dimensions` and their counts; None: all are computed.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        order: BatchOrder,
        collator: Collator,
        *,
        steps: int,
        negatives: tuple[int, int] = (0, 0),
        seed: int = 0,
        terms: Sequence[SynonymPair] = (),
        terms_a_step: int = 32,
        shares: Shares = Shares(),
        dimensions: Callable[[int, Sequence[str]], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self._sources = sources
        self._order = order
        self._collator = collator
        self._steps = steps
        self._negatives = negatives
        self._seed = seed
        self._terms = terms
        self._order_of_terms = BatchOrder([range(len(terms))], [1.0], terms_a_step, seed) if terms else None
        self._shares = shares
        self._dimensions = dimensions

    def __len__(self) -> int:
        """Return the number of steps of the whole run."""
        return self._steps

    def __getitem__(self, step: int) -> dict[str, Features]:
        """Return this process's share of a step's batch, counted from 0."""
        source, drawn = self._drawn(step)
        terms: Sequence[SynonymPair] = []
        if self._order_of_terms:
            _, places = self._order_of_terms.batch(step)
            terms = [self._terms[place] for place in places[self._shares.of(len(places))]]
        features = self._collator(drawn[self._shares.of(len(drawn))], source.text_of, terms)
        if self._dimensions:
            chosen, counts = self._dimensions(step, [one.example.query for one in drawn])
            features = replace(features, dimensions=chosen, dimension_counts=counts)
        return {"features": features}

    def ids(self, step: int) -> dict[str, list[str]]:
        """Return what is in the whole batch of a step, counted from 0: the source, ids of queries (or their texts) and of passages."""
        source, drawn = self._drawn(step)
        passages = dict.fromkeys(passage for one in drawn for passage in one.passages)
        return {
            "source": [source.name],
            "queries": [one.example.query_id or one.example.query for one in drawn],
            "passages": list(passages),
        }

    def _drawn(self, step: int) -> tuple[Source, list[Drawn]]:
        number, places = self._order.batch(step)
        source = self._sources[number]
        return source, [self._with_negatives(source.examples[place], number, step, place) for place in places.tolist()]

    def _with_negatives(self, example: Example, source: int, step: int, place: int) -> Drawn:
        hard, random = self._negatives
        if not (hard and example.hard) and not (random and example.random):
            return Drawn(example, (example.positive,))
        chance = np.random.default_rng([self._seed, _NEGATIVES, source, step, place])
        drawn = [*_some(example.hard, hard, chance), *_some(example.random, random, chance)]
        held_back = set(example.relevant)
        return Drawn(example, (example.positive, *(passage for passage in dict.fromkeys(drawn) if passage not in held_back)))


def _some(passages: Sequence[str], count: int, chance: np.random.Generator) -> list[str]:
    """Return `count` of the passages in their order, all where there are fewer."""
    if len(passages) <= count:
        return list(passages)
    return [passages[place] for place in sorted(chance.choice(len(passages), count, replace=False))]
