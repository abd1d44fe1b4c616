"""`sweep`, the same for both programs: many runs of `train` over a space of settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.files import write_text
from retrieval_ko.sweeps.changes import with_changes
from retrieval_ko.sweeps.program import Program
from retrieval_ko.sweeps.settings import read_settings
from retrieval_ko.sweeps.time_window import TimeWindow
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar

if TYPE_CHECKING:
    from retrieval_ko.sweeps.results import Results
    from retrieval_ko.sweeps.sweep import Sweep

DEFAULT_FILE = Path("configs/sweep.yaml")
IdArgument = Annotated[
    str | None, typer.Argument(help="The sweep's id or folder; without it, the one whose id --config holds.", metavar="ID")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The sweep's YAML file.")]
CountOption = Annotated[int | None, typer.Option("--count", min=1, metavar="N", help="End after so many trials; other agents go on.")]
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--time-window", metavar='"1-8"', help="Begin trials only from 1:00 on and before 8:00, local time; 22-6 is past midnight."
    ),
]
RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of the runs; the sweep has a folder of its own in it.")]
NoAgentOption = Annotated[bool, typer.Option("--no-run-agent", help="Create the sweep and start no agent.")]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Write another value: run_cap=10, model.base=[models/one,models/two], collection=DIR."),
]
NewOption = Annotated[bool, typer.Option("--new", help="Create another sweep, though the file has been one already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RUNS = Path("runs")


def sweep_app(program_of: Callable[[], Program]) -> typer.Typer:
    """Return the command group of one program.

    Args:
        program_of: returns the program, whose settings are read only where a command is run.
    """
    app = typer.Typer(help="Search settings: many runs of train, by one agent or several.", invoke_without_command=True)

    @app.callback()
    def sweep(
        context: typer.Context,
        config: ConfigOption = None,
        no_run_agent: NoAgentOption = False,
        anew: NewOption = False,
        count: CountOption = None,
        time_window: WindowOption = None,
        runs: RunsOption = RUNS,
        as_json: JsonOption = False,
    ) -> None:
        """Create a sweep from --config, write its id into the file, and run an agent.

        Example: sparse-ko sweep --config configs/sweep.yaml --no-run-agent
        """
        if context.invoked_subcommand:
            if config is not None:
                with exit_on_error():
                    command = context.invoked_subcommand
                    raise UsageError(
                        "--config stands before the command.", f"Write it after: {context.command_path} {command} --config {config}"
                    )
            return
        with exit_on_error():
            if config is None:
                raise UsageError("A sweep needs --config FILE.", f"Write a file with: {context.command_path} preset --no-run --output FILE")
            window = TimeWindow.read(time_window) if time_window else None
            _begin(config, runs, program_of(), anew=anew, run_agent=not no_run_agent, count=count, window=window, as_json=as_json)

    @app.command()
    def preset(
        name: Annotated[str | None, typer.Argument(help="Which packaged sweep; `list` names them.", metavar="NAME")] = None,
        output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where its YAML file is written.")] = DEFAULT_FILE,
        no_run: Annotated[bool, typer.Option("--no-run", help="Write the file, and create no sweep.")] = False,
        changes: ChangesOption = None,
        no_run_agent: NoAgentOption = False,
        count: CountOption = None,
        time_window: WindowOption = None,
        runs: RunsOption = RUNS,
        as_json: JsonOption = False,
    ) -> None:
        """Write a packaged sweep's file, create the sweep, and run an agent.

        Example: sparse-ko sweep preset static --no-run --output my-sweep.yaml
        """
        with exit_on_error():
            program = program_of()
            window = TimeWindow.read(time_window) if time_window else None
            if name == "list":
                print_json(preset_names(program)) if as_json else out.print("\n".join(preset_names(program)))
                return
            text = with_changes(preset_file(program, name or program.preset).read_text(encoding="utf-8"), changes or [], program)
            if output.exists():
                raise UsageError(
                    f"{output} is there already.", f"Another file: --output FILE. Use it: {program.name} sweep --config {output}"
                )
            write_text(output, text)
            read_settings(output, program)
            if no_run:
                if as_json:
                    print_json({"config": str(output)})
                else:
                    out.print(f"The sweep's file is {escape(str(output))}. Create it: {program.name} sweep --config {escape(str(output))}")
                return
            _begin(output, runs, program, anew=False, run_agent=not no_run_agent, count=count, window=window, as_json=as_json)

    @app.command()
    def agent(
        sweep_id: IdArgument = None,
        config: ConfigOption = None,
        count: CountOption = None,
        time_window: WindowOption = None,
        runs: RunsOption = RUNS,
        as_json: JsonOption = False,
    ) -> None:
        """Run trials of a sweep until none is left. Start it on as many machines as share the sweep's folder.

        Example: sparse-ko sweep agent --config configs/sweep.yaml --count 4 --time-window "22-6"
        """
        with exit_on_error():
            window = TimeWindow.read(time_window) if time_window else None
            _run_agent(_opened(sweep_id, config, runs, program_of()), count, window, as_json=as_json)

    @app.command()
    def show(sweep_id: IdArgument = None, config: ConfigOption = None, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
        """Show a sweep's trials and its best config, and draw the Pareto plot (PNG and HTML).

        Example: sparse-ko sweep show --config configs/sweep.yaml
        """
        with exit_on_error():
            _show(_opened(sweep_id, config, runs, program_of()), as_json=as_json)

    return app


def preset_names(program: Program) -> list[str]:
    """Return the names of the sweeps that come with a program."""
    return sorted(path.stem for path in program.presets.glob("*.yaml"))


def preset_file(program: Program, name: str) -> Path:
    """Return a packaged sweep's file.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in preset_names(program):
        raise UsageError(f"There is no packaged sweep {name}.", f"Packaged: {', '.join(preset_names(program))}")
    return program.presets / f"{name}.yaml"


def _begin(
    config: Path, runs: Path, program: Program, *, anew: bool, run_agent: bool, count: int | None, window: TimeWindow | None, as_json: bool
) -> None:
    from retrieval_ko.sweeps.sweep import create

    sweep = create(config, runs, program, anew=anew)
    limit = sweep.settings.limit
    trials = "trials without end" if limit is None else f"{limit} trials"
    notes.print(f"The sweep {sweep.sweep_id} is created: {trials}, in {escape(str(sweep.folder))}.")
    notes.print(f"More agents, also on other machines: {program.name} sweep agent --config {escape(str(config))}")
    if run_agent:
        _run_agent(sweep, count, window, as_json=as_json)
    elif as_json:
        print_json({"sweep": sweep.sweep_id, "folder": str(sweep.folder), "limit": limit})
    else:
        out.print(sweep.sweep_id)


def _opened(sweep_id: str | None, config: Path | None, runs: Path, program: Program) -> Sweep:
    from retrieval_ko.sweeps.sweep import open_by_file, open_sweep

    if sweep_id and config:
        raise UsageError("The sweep is named twice, by its id and by --config.", "Leave one of them out.")
    if sweep_id:
        return open_sweep(sweep_id, runs, program)
    return open_by_file(config or DEFAULT_FILE, runs, program)


def _run_agent(sweep: Sweep, count: int | None, window: TimeWindow | None, *, as_json: bool) -> None:
    from retrieval_ko.sweeps.agent import Agent

    with progress_bar("trials") as bar:
        task = bar.add_task(sweep.sweep_id, total=sweep.settings.limit)

        def progress(over: int, limit: int | None, figures: str) -> None:
            bar.update(task, completed=over, total=limit, description=escape(figures) or sweep.sweep_id)

        agent = Agent(sweep, count, window, tell=lambda line: bar.console.print(escape(line), soft_wrap=True), progress=progress)
        try:
            agent.run()
        except KeyboardInterrupt:
            go_on = f"{sweep.program.name} sweep agent {sweep.sweep_id}"
            notes.print(f"Interrupted: the open trial can be taken up again, from its newest checkpoint, with: {go_on}")
            raise
    _show(sweep, as_json=as_json)


def _show(sweep: Sweep, *, as_json: bool) -> None:
    from retrieval_ko.sweeps import results as found

    results = found.results_of(sweep)
    best = found.write_best(sweep, results)
    pictures: list[Path] = []
    if best:
        from retrieval_ko.sweeps.pareto import write_figures

        pictures = write_figures(results, sweep.sweep_id, sweep.folder / "report")
    if as_json:
        print_json({**found.as_json(sweep, results), "pictures": [str(picture) for picture in pictures]})
        return
    out.print(_table(results))
    over = ", ".join(f"{count} {state}" for state in ("finished", "pruned", "failed", "running") if (count := results.count(state)))
    out.print(f"{sweep.sweep_id}: {over or 'no trial yet'}.")
    for trial in results.trials:
        if trial.state == "failed":
            notes.print(f"Trial {trial.number} failed: {escape(str(trial.facts.get('error', '')))}", soft_wrap=True)
    if best:
        out.print(f"Best config: {escape(str(best))}; pictures: {', '.join(escape(str(picture)) for picture in pictures)}", soft_wrap=True)
        notes.print(f"Next: {sweep.program.name} train {escape(str(best))}", soft_wrap=True)


def _table(results: Results) -> Table:
    from retrieval_ko.sweeps.results import in_short

    keys = list(dict.fromkeys(key for trial in results.trials for key in trial.settings))
    keys = [key for key in keys if len({str(trial.settings.get(key)) for trial in results.trials}) > 1]
    names = [one.words for one in results.objectives]
    table = Table("trial", "state", *names, *(key.rpartition(".")[2] for key in keys), box=None)
    front = {trial.number for trial in results.front}
    for trial in results.trials:
        values = [f"{value:.4g}" for value in trial.values] or [""] * len(names)
        style = "bold green" if trial.number in front else None
        table.add_row(str(trial.number), trial.state, *values, *(escape(in_short(trial.settings.get(key))) for key in keys), style=style)
    return table
