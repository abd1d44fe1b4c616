"""Sparsity on a dial: a controller that moves λ until passages and queries have as many active dimensions as asked for.

λ has no natural scale. It depends on the ranking loss, the batch, the vocabulary and the learning rate, and a factor of 30 either way
is the difference between an encoder that is dense and one that is dead. The number of active dimensions is what a person knows: it
is the length of the posting lists. So the run is told the dimensions and finds λ.

In a run of T steps, every step moves λ by the error that is to be expected:

    ln λ_{t+1} = ln λ_t + K/T · ê_t,    ê = e_fast + L (e_fast - e_slow),    e_t = ln(dims_t / goal_t)

- goal_t falls, in logarithms evenly, from the first measured dims to the target over the first third of the run. An untrained encoder
  that is pressed at once loses dimensions which it would need, and those come back slowly or never: where dims are 0 for every text
  there is no gradient. So the target is approached from above and without haste, whatever λ was given.
- e_fast and e_slow are averages over about T/100 and T/25 steps. Their difference is how fast dims move, and L times it is where
  they will be a tenth of the run later: λ is taken back before the goal is passed. (It is a PI controller in logarithms: dims fall
  about as a power of λ, and an error of a factor 2 is as bad above as below.)
- λ still grows quadratically from 0 over the first `warmup` of the steps (Paria et al. 2020, arXiv 2004.05665, section 5); the growth
  stops while ê is below 0.
- ê is cut off, below later than above: too sparse is answered faster than too dense.

(The idea of steering a penalty by a constraint: Rezende and Viola 2018, "Taming VAEs", arXiv 1810.00597.)
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from retrieval_ko.errors import ModelError
from sparse_ko.settings import SparsitySettings

DESCENT = 1 / 3
"""Share of the run in which the goal falls from the first measured dims to the target."""
GAIN = 60.0
"""K: ln λ moves so far in a whole run while dims are e times the target."""
LEAD = 3.0
"""L."""
FAST, SLOW = 100, 25
"""The averages are over about T/FAST and T/SLOW steps."""
LOWEST_ERROR, HIGHEST_ERROR = -2.0, 1.0
"""Where ê is cut off: at 1/7 of the target, and at e times the target."""
RANGE = 1e3
"""λ stays within this factor of its first value, either way."""
EARLY_RANGE = 1e2
"""And within this one downwards as long as the goal falls and dims are above the target: the way back up would be too long."""
FEWEST_DIMS = 0.1
"""Stands for 0 active dimensions, whose logarithm is none."""
PATIENCE = 20
"""Steps in a row that a collapse must last before the run is stopped."""
DENSE_SHARE = 0.9
"""Share of the vocabulary that is "nearly all" of it: no index is built of such passages."""


class SparsityController:
    """Gives each step its λ: the quadratic warm-up alone, or where a target is set the controller above.

    Args:
        settings: λ's first values, targets, warm-up.
        total_steps: of the run.
        dimensions: size of the vocabulary, for telling an encoder that stays dense; None: not checked.

    Example:
        >>> controller = SparsityController(SparsitySettings(target_doc_dims=120), total_steps=1000)
        >>> controller.update(0, None, None)
        (0.0, 0.0)
        >>> for_documents, for_queries = controller.update(1, 900.0, 40.0)
    """

    def __init__(self, settings: SparsitySettings, total_steps: int, dimensions: int | None = None) -> None:
        self._warmup_steps = settings.warmup * total_steps
        self._dimensions = dimensions
        self._dials = {
            "passages": _Dial(settings.document_weight, settings.target_doc_dims, total_steps),
            "queries": _Dial(settings.query_weight, settings.target_query_dims, total_steps),
        }
        self._collapsed_steps = {f"{side} {way}": 0 for side in self._dials for way in ("empty", "dense")}
        self._latest: deque[list[float | None]] = deque(maxlen=5)

    def update(self, step: int, doc_dims: float | None, query_dims: float | None, loss: float | None = None) -> tuple[float, float]:
        """Return (λ of the passages, λ of the queries) for a step.

        Args:
            step: from 0.
            doc_dims: mean active dimensions a passage in the batch before; None before the first.
            query_dims: the same of its queries.
            loss: of the batch before, for the message of a collapse.

        Raises:
            ModelError: dims are no number, or for `PATIENCE` steps all passages or all queries had no dimension,
                or after the warm-up half of the vocabulary; names the last λ, dims and losses.
        """
        measured = {"passages": doc_dims, "queries": query_dims}
        if doc_dims is not None or query_dims is not None:
            self._latest.append([step - 1, *(dial.weight for dial in self._dials.values()), doc_dims, query_dims, loss])
        self._stop_on_collapse(step, measured)
        now, before = self._ramp(step), self._ramp(step - 1)
        document, query = (dial.turned(step, measured[side], now, before) for side, dial in self._dials.items())
        return document, query

    def _ramp(self, step: int) -> float:
        if step <= 0:
            return 0.0 if self._warmup_steps else 1.0
        return min(1.0, (step / self._warmup_steps) ** 2) if self._warmup_steps else 1.0

    def _stop_on_collapse(self, step: int, measured: dict[str, float | None]) -> None:
        for side, dims in measured.items():
            if dims is None:
                continue
            if not math.isfinite(dims):
                raise self._collapse(f"The number of active dimensions of the {side} is not a number any more", "Lower the learning rate.")
            self._count(f"{side} empty", dims == 0)
            self._count(f"{side} dense", bool(self._dimensions and step >= self._warmup_steps and dims >= DENSE_SHARE * self._dimensions))
        for side, setting in (("passages", "document_weight"), ("queries", "query_weight")):
            if self._collapsed_steps[f"{side} empty"] >= PATIENCE:
                raise self._collapse(
                    f"All {side} had no active dimension for {PATIENCE} steps: they cannot be found, and no gradient brings them back",
                    f"Lower sparsity.{setting} or training.learning_rate, or set sparsity.anti_collapse=0.1 and sparsity.warmup=0.5",
                )
            if self._collapsed_steps[f"{side} dense"] >= PATIENCE:
                raise self._collapse(
                    f"The {side} had more than {DENSE_SHARE:.0%} of all {self._dimensions:,} dimensions active for {PATIENCE} steps "
                    "after the warm-up",
                    f"Raise sparsity.{setting}, or set sparsity.target_doc_dims; check that the body's head was pre-trained.",
                )

    def _count(self, name: str, happened: bool) -> None:
        self._collapsed_steps[name] = self._collapsed_steps[name] + 1 if happened else 0

    def _collapse(self, problem: str, remedy: str) -> ModelError:
        rows = "; ".join(
            f"step {row[0]:.0f}: λ {_shown(row[1])} passages {_shown(row[2])} queries, "
            f"dims {_shown(row[3])} passages {_shown(row[4])} queries, loss {_shown(row[5])}"
            for row in self._latest
        )
        return ModelError(f"{problem}. {rows}.", remedy)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as JSON can hold it."""
        return {
            "dials": {side: dial.state_dict() for side, dial in self._dials.items()},
            "collapsed_steps": dict(self._collapsed_steps),
            "latest": [list(row) for row in self._latest],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for side, values in state["dials"].items():
            self._dials[side].load_state_dict(values)
        self._collapsed_steps = dict(state["collapsed_steps"])
        self._latest = deque((list(row) for row in state["latest"]), maxlen=self._latest.maxlen)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


class _Dial:
    """λ of one side."""

    def __init__(self, first: float, target: float | None, total_steps: int) -> None:
        self._first = first
        self._target = target
        self._gain = GAIN / max(total_steps, 1)
        self._rates = tuple(min(1.0, share / max(total_steps, 1)) for share in (FAST, SLOW))
        self._factor = 0.0  # ln of what the controller has multiplied λ by
        self._descent_steps = max(1.0, DESCENT * total_steps)
        self._start: float | None = None
        self._averages: list[float] = []
        self.weight = 0.0

    def turned(self, step: int, dims: float | None, ramp: float, ramp_before: float) -> float:
        """Return the next λ, given the dims that the last one led to and the warm-up's share of λ, now and before."""
        if self._target is not None and dims is not None:
            level = math.log(max(dims, FEWEST_DIMS) / self._target)
            if self._start is None:
                self._start = max(level, 0.0)
            goal = self._start * max(0.0, 1 - step / self._descent_steps)  # ln(goal / target)
            error = self._expected_error(level - goal)
            self._factor += self._gain * max(LOWEST_ERROR, min(HIGHEST_ERROR, error))
            if error < 0 and 0 < ramp_before < ramp:
                self._factor -= math.log(ramp / ramp_before)
            lowest = -math.log(EARLY_RANGE if goal > 0 and self._averages[0] + goal > 0 else RANGE)
            self._factor = max(lowest, min(math.log(RANGE), self._factor))
        self.weight = self._first * math.exp(self._factor) * ramp
        return self.weight

    def _expected_error(self, error: float) -> float:
        self._averages = [
            average + rate * (error - average) for average, rate in zip(self._averages or [error] * 2, self._rates, strict=True)
        ]
        fast, slow = self._averages
        return fast + LEAD * (fast - slow)

    def state_dict(self) -> dict[str, Any]:
        return {"factor": self._factor, "start": self._start, "averages": list(self._averages), "weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factor, self._start, self.weight = state["factor"], state["start"], state["weight"]
        self._averages = list(state["averages"])
