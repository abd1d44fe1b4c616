"""The hours in which an agent may begin a trial."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

from retrieval_ko.errors import UsageError

_SPELT = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")
_DAY = 24 * 60


@dataclass(frozen=True)
class TimeWindow:
    """Hours of the day, in local time: from `start` on, and before `end`.

    Args:
        start: minutes after midnight, included.
        end: minutes after midnight, excluded; below `start` it is on the next day.
    """

    start: int
    end: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read "1-8", "22-6" (past midnight) or "22:30-6".

        Raises:
            UsageError: it is none of these, or holds no time at all.
        """
        match = _SPELT.fullmatch(text.strip())
        example = 'Write two hours of the day, for example "1-8" or "22:30-6".'
        if not match:
            raise UsageError(f'"{text}" is no time window.', example)
        hours = (int(match[1]), int(match[3]))
        minutes = (int(match[2] or 0), int(match[4] or 0))
        start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
        if start >= _DAY or end > _DAY or max(minutes) > 59:
            raise UsageError(f'"{text}": a day goes from 0:00 to 24:00.', example)
        if start == end:
            raise UsageError(f'"{text}" begins when it ends, so no trial would ever begin.', "Leave it out for the whole day.")
        return cls(start, end)

    def holds(self, moment: datetime) -> bool:
        """Return whether a trial may begin at a local time."""
        now = moment.hour * 60 + moment.minute
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def next_start(self, moment: datetime) -> datetime:
        """Return when a trial may begin, at `moment` or after it, by the clock on the wall."""
        if self.holds(moment):
            return moment
        opening = datetime.combine(moment.date(), time(self.start // 60, self.start % 60), tzinfo=moment.tzinfo)
        return opening if opening > moment else opening + timedelta(days=1)

    def __str__(self) -> str:
        start, end = (f"{minutes // 60}:{minutes % 60:02}" for minutes in (self.start, self.end))
        return f"{start}-{end}"
