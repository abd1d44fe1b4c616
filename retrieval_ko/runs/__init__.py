"""Training runs on disk: what was asked, on what, what happened, how it ended; and what can be said about it afterwards.

folder.py        a run's folder: config.yaml, metadata.json, events.jsonl, checkpoint-*, model/, report/
process.py       which process a run is, and whether it is still there
machine.py       versions, commit, hardware, memory
command_line.py  the command that began a run, without secrets
curves.py        events → one curve a figure
verdict.py       did training go well? Signs and thresholds
comparison.py    is the second run better than the first?
charts.py        several runs in one picture
following.py     watching a run: progress, stall, crash, restart
"""

from retrieval_ko.runs.folder import LATEST, Run, State, find_runs
from retrieval_ko.runs.machine import git_commit, versions

__all__ = ["LATEST", "Run", "State", "find_runs", "git_commit", "versions"]
