"""A trial ends with its agent, however that one dies, so that nobody goes on with a run at which a forgotten process still works."""

from __future__ import annotations

import os
import signal
import threading
import time

AGENT = "SPARSE_KO_SWEEP_AGENT"
"""Environment variable by which an agent tells its trial its process number."""
_LOOK_SECONDS = 0.5


def end_with_agent() -> None:
    """Watch, beside whatever this process does, for the agent that started it to be gone, and end then.

    A process whose parent dies gets another parent, so its parent's number changes. What is being written is written whole or not at all,
    and a checkpoint is there to go on from.
    """
    agent = os.environ.pop(AGENT, None)
    if agent is not None:
        threading.Thread(target=_watch, args=(int(agent),), daemon=True, name="leash").start()


def _watch(agent: int) -> None:
    while os.getppid() == agent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
