"""Half-open hours of the day, past midnight too."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.time_window import TimeWindow

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1))
TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59))


def at(hour, minute=0, second=0):
    return datetime(2026, 3, 1, hour, minute, second)


@pytest.mark.parametrize(
    ("spelt", "inside", "outside"),
    [
        ("1-8", [at(1), at(7, 59, 59)], [at(0, 59, 59), at(8), at(20)]),
        ("22-6", [at(22), at(23, 59), at(0), at(5, 59, 59)], [at(21, 59), at(6), at(12)]),
        ("22:30-6:15", [at(22, 30), at(6, 14)], [at(22, 29), at(6, 15)]),
        ("0-24", [at(0), at(23, 59)], []),
    ],
)
def test_a_window_holds_its_beginning_and_not_its_end(spelt, inside, outside):
    window = TimeWindow.read(spelt)
    assert all(map(window.holds, inside))
    assert not any(map(window.holds, outside))


@pytest.mark.parametrize("spelt", ["", "8", "1-25", "24-3", "3-3", "1:60-3", "a-b", "1-8-9"])
def test_what_is_no_window_is_refused_with_an_example(spelt):
    with pytest.raises(UsageError) as refused:
        TimeWindow.read(spelt)
    assert f'"{spelt}"' in refused.value.problem


@given(TIMES, TIMES, MOMENTS)
def test_the_next_start_is_inside_and_nothing_before_it_is(start, end, moment):
    if start == end:
        return
    window = TimeWindow.read(f"{start[0]}:{start[1]:02}-{end[0]}:{end[1]:02}")
    opens = window.next_start(moment)
    assert window.holds(opens)
    assert moment <= opens <= moment + timedelta(days=1)
    if opens > moment:
        assert not window.holds(moment)
        assert not window.holds(opens - timedelta(seconds=1))


def test_it_is_written_as_it_is_read():
    assert str(TimeWindow.read("22-6")) == "22:00-6:00"
