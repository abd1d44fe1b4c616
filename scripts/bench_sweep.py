"""Show what a sweep promises: two agents, one killed in the middle, and in the end every trial finished once.

python scripts/bench_sweep.py --out runs/bench-sweep --trials 12

The static sparse encoder on the sample collection in the package (`sparse-ko sweep preset static`). After a third of the trials one agent
is killed with SIGKILL and started again; after two thirds both are. About a minute of one core a trial.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from retrieval_ko.errors import RetrievalError
from retrieval_ko.files import write_json
from retrieval_ko.runs import Run
from retrieval_ko.sweeps.sweep import Sweep, create
from retrieval_ko.terminal import exit_on_error, print_json
from sparse_ko_cli.sweep import preset_file
from sparse_ko_cli.sweep_programs import sparse_program

_LOOK_SECONDS = 1.0


def main() -> None:
    """Run the sweep and print what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path("runs/bench-sweep"), help="a new folder")
    arguments.add_argument("--trials", type=int, default=12)
    arguments.add_argument("--epochs", type=float, default=3, help="of a trial")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with exit_on_error():
        report = measure(options.out, options.trials, options.epochs)
    if options.json:
        print_json(report)
    else:
        for name, value in report.items():
            print(f"{name:<28} {value}")
    sys.exit(0 if report["kept"] else 1)


def measure(out: Path, trials: int, epochs: float) -> dict[str, Any]:
    """Return what came of the sweep; `kept` says whether every promise was."""
    began = time.monotonic()
    sweep = _sweep(out, trials, epochs)
    agents = [_agent(sweep, out), _agent(sweep, out)]
    killed, finished_before = 0, []
    for share in (1 / 3, 2 / 3):
        _until_finished(sweep, max(1, round(trials * share)), agents)
        finished_before.append(_finished(sweep))
        for place in range(1 if killed == 0 else 2):
            agents[place].send_signal(signal.SIGKILL)
            agents[place].wait()
            agents[place] = _agent(sweep, out)
            killed += 1
    codes = [agent.wait() for agent in agents]
    found = _command(sweep, "sweep", "show", str(sweep.folder))
    rows = found["trials"]
    values = [json.dumps(row["settings"], sort_keys=True) for row in rows]
    dry = _command(sweep, "train", found["best_config"], "--dry-run")
    report: dict[str, Any] = {
        "trials": len(rows),
        "finished": sum(row["state"] == "finished" for row in rows),
        "distinct": len(set(values)),
        "agents_killed": killed,
        "taken_over": sum(row.get("generation", 1) > 1 for row in rows),
        "resumed_from_a_checkpoint": sum(_resumed(Path(row["run"])) for row in rows),
        "finished_trials_lost": sum(len(before - _finished(sweep)) for before in finished_before),
        "agents_ended_with": codes,
        "best_trial": found["best"],
        "best": {name: row[name] for row in rows if row["trial"] == found["best"] for name in row if name.startswith("eval/")},
        "best_config": found["best_config"],
        "train_accepts_it": dry["steps"] > 0,
        "on_the_front": sum(row["on_front"] for row in rows),
        "pictures": found["pictures"],
        "seconds": round(time.monotonic() - began),
    }
    report["kept"] = (
        report["trials"] == report["finished"] == report["distinct"] == trials
        and not report["finished_trials_lost"]
        and report["train_accepts_it"]
        and all(Path(picture).is_file() for picture in report["pictures"])
    )
    write_json(out / "result.json", report)
    return report


def _sweep(out: Path, trials: int, epochs: float) -> Sweep:
    program = sparse_program()
    values = yaml.safe_load(preset_file(program, "static").read_text(encoding="utf-8"))
    values["run_cap"] = trials
    values["fixed"]["training.epochs"] = epochs
    out.mkdir(parents=True, exist_ok=True)
    source = out / "sweep.yaml"
    if source.exists():
        raise RetrievalError(f"{source} is there already.", "Name a new folder with --out.")
    source.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return create(source, out, program)


def _agent(sweep: Sweep, out: Path) -> subprocess.Popen[bytes]:
    with (out / "agents.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "sparse_ko_cli", "sweep", "agent", str(sweep.folder)], stdout=log, stderr=log)


def _command(sweep: Sweep, *words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "sparse_ko_cli", *words, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RetrievalError(f"`sparse-ko {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _finished(sweep: Sweep) -> set[int]:
    return {number for number, trial in sweep.store.records().items() if trial.state == "finished"}


def _until_finished(sweep: Sweep, wanted: int, agents: list[subprocess.Popen[bytes]]) -> None:
    while len(_finished(sweep)) < wanted:
        if all(agent.poll() is not None for agent in agents):
            raise RetrievalError(
                f"Both agents ended before {wanted} trials were finished.", f"What they said: {sweep.folder.parent / 'agents.log'}"
            )
        time.sleep(_LOOK_SECONDS)


def _resumed(folder: Path) -> bool:
    return any(event.get("resumed") and event["step"] > 0 for event in Run(folder).events())


if __name__ == "__main__":
    main()
