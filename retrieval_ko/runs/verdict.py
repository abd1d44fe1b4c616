"""Did training go well? The signs of success and failure, each with what it saw and from where on it complains.

The thresholds are compared with recorded good and bad runs in tests/retrieval_ko/test_run_verdict.py, and explained in docs/runs.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from retrieval_ko.runs.curves import VALID_LOSS, Curve, curve, not_numbers, quality, train_loss
from retrieval_ko.runs.folder import Run

Outcome = Literal["good", "bad", "running"]

_CHECKPOINT = re.compile(r"checkpoint-\d+")
_SHARE_OF_ONE = re.compile(r"dev_(ndcg|mrr|recall|map|p)@\d+|dev_accuracy")


LEAST_POINTS = 5
"""Of a loss that are averaged: one batch alone may be an easy one."""


@dataclass(frozen=True)
class Thresholds:
    """From where on a sign is bad."""

    train_fall: float = 0.05
    """The train loss must end at least this share below where it began. A run that learns its pairs at all halves it; noise from batch to
    batch, averaged over a tenth of the run, stays below 3 %."""
    train_rise: float = 0.5
    """How much of what the train loss had fallen it may give back at the end. Batches of several sources make it wave; divergence gives
    back everything, and more."""
    valid_rise: float = 0.5
    """The same of the valid loss: from there on the encoder learns its pairs by heart."""
    valid_slack: float = 0.1
    """By which share of itself the valid loss may end above its beginning where it never fell by much; an encoder that begins as a lexical
    matcher may have a valid loss that sparsity alone lifts a little."""
    gain: float = 0.005
    """By how much the best measurement must lie above the first: half a point of nDCG@10."""
    collapse: float = 0.5
    """Which share of its best measurement the last one must still reach."""
    least: float = 0.0
    """What the best measurement must reach, whatever it began at (`--at-least`; 0.5 is the bar of a full run)."""
    ends: float = 0.1
    """Share of the train loss's points that stand for its beginning, and for its end."""


@dataclass(frozen=True)
class Sign:
    """One thing that was looked at.

    Args:
        name: of the sign.
        good: None: there was nothing to see, or it is too early.
        saw: what it saw, in words.
    """

    name: str
    good: bool | None
    saw: str


@dataclass(frozen=True)
class Verdict:
    """All signs of one run."""

    run: str
    state: str
    signs: tuple[Sign, ...]

    @property
    def outcome(self) -> Outcome:
        """`bad` with any bad sign; else `running` while the run does; else `good`."""
        if any(sign.good is False for sign in self.signs):
            return "bad"
        return "running" if self.state == "running" else "good"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"run": self.run, "state": self.state, "verdict": self.outcome, "signs": [asdict(sign) for sign in self.signs]}


def judge_run(run: Run, thresholds: Thresholds = Thresholds()) -> Verdict:
    """Return the verdict on a run.

    Raises:
        DataError: the folder holds no run, or its events are damaged.
    """
    metadata, events = run.look(), run.events()
    state = str(metadata["state"])
    name, measured = quality(events)
    loss_name, train = train_loss(events)
    valid = curve(events, VALID_LOSS)
    running = state == "running"
    signs = (
        _ended(state, str(metadata.get("error", ""))),
        _checkpoint(run, running=running),
        _numbers(events),
        _measured(name, measured, running=running),
        _falls(f"train loss ({loss_name})", train.finite(), thresholds, running=running),
        _valid(valid.finite(), thresholds, running=running),
        _together(train.finite(), valid.finite(), measured.finite(), thresholds, running=running),
        _improves(name, measured.finite(), thresholds, running=running),
    )
    return Verdict(str(run.folder), state, signs)


def _ended(state: str, error: str) -> Sign:
    why = f": {error.splitlines()[0]}" if error else ""
    return Sign("state", None if state == "running" else state == "finished", state + why)


def _checkpoint(run: Run, *, running: bool) -> Sign:
    found = sorted(
        (path.name for path in run.folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)),
        key=lambda name: int(name.partition("-")[2]),
    )
    model = (run.folder / "model").is_dir()
    if found and model:
        return Sign("checkpoint", True, f"{found[-1]} and model/")
    missing = " and ".join(what for what, there in (("no checkpoint", found), ("no model/", model)) if not there)
    return Sign("checkpoint", None if running else False, missing)


def _numbers(events: Sequence[dict[str, Any]]) -> Sign:
    if broken := not_numbers(events):
        step, name = broken[0]
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        return Sign("numbers", False, f"{name} is not a number at step {step}{more}")
    odd = [
        (event["step"], name, value)
        for event in events
        for name, value in event.items()
        if _SHARE_OF_ONE.fullmatch(name) and not 0 <= value <= 1
    ]
    if odd:
        return Sign("numbers", False, f"{odd[0][1]} is {odd[0][2]:g} at step {odd[0][0]}; it lies between 0 and 1 by its definition")
    return Sign("numbers", True, "every loss and metric is a number")


def _measured(name: str, measured: Curve, *, running: bool) -> Sign:
    if not len(measured):
        return Sign("metrics", None if running else False, "dev was never measured")
    return Sign("metrics", True, f"{name} measured {len(measured)} times")


def _falls(name: str, losses: Curve, thresholds: Thresholds, *, running: bool) -> Sign:
    if len(losses) < 3:
        return Sign("train loss", None if running else False, f"{name} recorded {len(losses)} times: too few to judge")
    begin, lowest, end = _ends(losses, thresholds)
    saw = f"{name} {begin:.4g} → {end:.4g}, lowest {lowest:.4g}"
    if begin - lowest > 0 and end - lowest > thresholds.train_rise * (begin - lowest):
        return Sign("train loss", False, f"{saw}: it gave back more than {thresholds.train_rise:.0%} of what it fell")
    if end > (1 - thresholds.train_fall) * begin:
        return Sign("train loss", None if running else False, f"{saw}: it did not fall by {thresholds.train_fall:.0%}")
    return Sign("train loss", True, saw)


def _valid(losses: Curve, thresholds: Thresholds, *, running: bool) -> Sign:
    if len(losses) < 2:
        return Sign("valid loss", None, "not recorded" if not len(losses) else "recorded once")
    begin, lowest, end = losses.values[0], min(losses.values), losses.values[-1]
    saw = f"{begin:.4g} → {end:.4g}, lowest {lowest:.4g}"
    slack = thresholds.valid_slack * abs(begin)
    if end - lowest > max(thresholds.valid_rise * (begin - lowest), slack):
        return Sign("valid loss", False, f"{saw}: it rises again while training goes on")
    return Sign("valid loss", True, saw)


def _together(train: Curve, valid: Curve, measured: Curve, thresholds: Thresholds, *, running: bool) -> Sign:
    """Losses and quality tell one story: where one improves and another does the opposite, it is not retrieval that is learnt."""
    if len(train) < 3 or len(measured) < 2:
        return Sign("together", None, "too few points")
    begin, lowest, end = _ends(train, thresholds)
    falls = end <= (1 - thresholds.train_fall) * begin
    diverges = end - lowest > thresholds.train_rise * max(begin - lowest, 0.0) and end > begin
    rises = max(measured.values) - measured.values[0] >= thresholds.gain or measured.values[0] > 1 - thresholds.gain
    if falls and not rises:
        return Sign("together", None if running else False, "the train loss falls and dev quality stays flat")
    if diverges and rises:
        return Sign("together", False, "dev quality rises and the train loss diverges")
    if falls and len(valid) > 1 and valid.values[-1] > (1 + thresholds.valid_slack) * valid.values[0]:
        return Sign("together", False, "the train loss falls and the valid loss ends above its beginning: a gap that grows")
    return Sign("together", True, "losses and dev quality go the same way" if falls and rises else "nothing contradicts")


def _improves(name: str, measured: Curve, thresholds: Thresholds, *, running: bool) -> Sign:
    if len(measured) < 2:
        return Sign("quality", None if running else False, f"{name} measured {len(measured)} times: nothing to compare")
    first, best, last = measured.values[0], max(measured.values), measured.values[-1]
    saw = f"{name} {first:.4f} → {last:.4f}, best {best:.4f} at step {measured.steps[measured.values.index(best)]}"
    if best < thresholds.least:
        return Sign("quality", None if running else False, f"{saw}: below {thresholds.least:g}")
    if last < thresholds.collapse * best:
        return Sign("quality", False, f"{saw}: it collapsed")
    if first > 1 - thresholds.gain:
        return Sign("quality", None, f"{saw}: nothing is left to gain; dev is too easy")
    if best - first < thresholds.gain:
        return Sign("quality", None if running else False, f"{saw}: it did not rise by {thresholds.gain:g}")
    return Sign("quality", True, saw)


def _ends(losses: Curve, thresholds: Thresholds) -> tuple[float, float, float]:
    """Return the mean of the beginning, the lowest, and the mean of the end; each of equally many points."""
    parts = losses.averaged(max(2, min(round(1 / thresholds.ends), len(losses) // LEAST_POINTS))).values
    return parts[0], min(parts), parts[-1]
