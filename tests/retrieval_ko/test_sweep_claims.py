"""One trial, one agent: by files that one process alone can make."""

import os
import subprocess
import sys
import threading
import time

import psutil

from retrieval_ko.runs.process import this_process
from retrieval_ko.sweeps.claims import SAME_HOST_SECONDS, Claim, Claims


def aged(claims, claim, seconds):
    """Let a claim be silent for so long."""
    path = claims.folder / f"trial-{claim.trial:04}.{claim.generation}"
    then = time.time() - seconds
    os.utime(path, (then, then))


def ended_process():
    """A process of this machine that is no more."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        started = psutil.Process(child.pid).create_time()
    return {**this_process(), "pid": child.pid, "started": started}


def test_of_many_agents_at_once_one_gets_a_trial(tmp_path):
    agents = [Claims(tmp_path) for _ in range(8)]
    together = threading.Barrier(len(agents))
    got = []

    def take(claims):
        together.wait()
        got.extend(claim for number in range(1, 41) if (claim := claims.take(number)))

    threads = [threading.Thread(target=take, args=(claims,)) for claims in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.trial for claim in got) == list(range(1, 41))


def test_a_point_belongs_to_the_trial_that_took_it_first_also_after_a_restart(tmp_path):
    assert Claims(tmp_path).take_point("ab", 3)
    assert not Claims(tmp_path).take_point("ab", 4)
    assert Claims(tmp_path).take_point("ab", 3)
    assert Claims(tmp_path).points() == {"ab"}


def test_an_agent_whose_process_is_gone_is_lost_after_a_while(tmp_path):
    dead, alive = Claims(tmp_path, process=ended_process()), Claims(tmp_path)
    claim, other = dead.take(1), alive.take(2)
    assert not alive.is_lost(claim)  # its trial may still be ending
    aged(alive, claim, SAME_HOST_SECONDS + 1)
    aged(alive, other, SAME_HOST_SECONDS + 1)
    assert alive.is_lost(claim)
    assert not alive.is_lost(other)  # its process is there


def test_an_agent_of_another_machine_is_lost_once_it_has_been_silent_for_too_long(tmp_path):
    far = Claims(tmp_path, 60, process={**ended_process(), "host": "elsewhere"})
    near = Claims(tmp_path, 60)
    claim = far.take(1)
    aged(near, claim, 50)
    assert not near.is_lost(claim)
    aged(near, claim, 61)
    assert near.is_lost(claim)
    assert far.beat(claim)  # it is back, and nobody has taken its trial
    assert not near.is_lost(claim)


def test_an_agent_that_was_given_up_learns_of_it(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    claim = first.take(7)
    first.release(claim)
    assert second.is_lost(claim)
    assert second.take(7, 2) == Claim(7, 2)
    assert first.take(7, 2) is None
    assert not first.beat(claim)
    assert second.newest() == {7: Claim(7, 2)}


def test_a_claim_whose_maker_was_killed_before_it_signed_is_lost_in_time(tmp_path):
    claims = Claims(tmp_path, 60)
    (tmp_path / "trial-0001.1").touch()
    claim = claims.newest()[1]
    aged(claims, claim, 30)
    assert not claims.is_lost(claim)
    aged(claims, claim, 61)
    assert claims.is_lost(claim)
