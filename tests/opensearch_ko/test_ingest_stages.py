"""Stages overlap, stay in order, run no further ahead than they may, and end when they are no longer wanted."""

import threading
import time

import pytest

from opensearch_ko.ingest.ahead import ahead

DEADLINE_SECONDS = 10


def until(condition):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_items_keep_their_order_through_several_stages():
    doubled = ahead((2 * number for number in ahead(range(1000), 3)), 3)
    assert list(doubled) == list(range(0, 2000, 2))


def test_a_stage_runs_ahead_only_so_far():
    made = []

    def numbers():
        for number in range(100):
            made.append(number)
            yield number

    stage = ahead(numbers(), 5)
    assert next(stage) == 0
    until(lambda: len(made) == 7)  # the one taken, five in the queue, one in hand
    assert next(stage) == 1
    until(lambda: len(made) == 8)
    stage.close()
    assert len(made) == 8


def test_what_a_stage_raises_comes_after_what_it_made():
    def broken():
        yield 1
        raise OSError("the disk is full")

    stage = ahead(ahead(broken(), 2), 2)
    assert next(stage) == 1
    with pytest.raises(OSError, match="the disk is full"):
        next(stage)


def test_a_closed_stage_closes_its_source_in_the_thread_that_read_it():
    threads = []

    def numbers():
        threads.append(threading.current_thread())
        try:
            yield from range(100)
        finally:
            threads.append(threading.current_thread())

    stage = ahead(numbers(), 2)
    next(stage)
    stage.close()
    assert threads[0] is threads[1]
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()
