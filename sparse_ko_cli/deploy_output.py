"""What the `sparse-ko deploy` commands show: what stands now, what moved, what went, and what would be sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from retrieval_ko.terminal import notes, out, print_json

if TYPE_CHECKING:
    from opensearch_ko.cluster import Cluster
    from opensearch_ko.deployment import Deployment
    from opensearch_ko.preflight import Finding
    from opensearch_ko.rehearsal import PlannedRequest
    from opensearch_ko.removal import Removed
    from opensearch_ko.versions import Moved


def note(step: str) -> None:
    """Say a step on standard error."""
    notes.print(f"  {escape(step)}")


def show_deployment(done: Deployment) -> None:
    """Show what stands on the cluster now, and what to do next."""
    table = Table(box=None, show_header=False, pad_edge=False)
    state = {True: "already there", False: "new"}
    table.add_row("model", done.model_id, "already deployed" if done.model_already else "deployed")
    for kind, model_id in (("query model", done.query_model_id), ("dense model", done.dense_model_id)):
        if model_id:
            table.add_row(kind, model_id, "")
    table.add_row("answer", f"differs by at most {done.largest_difference:.1e} from the exported model's", "")
    table.add_row("pipeline", done.pipeline, state[done.pipeline_already])
    table.add_row("index", done.index, state[done.index_already])
    if done.seismic_index:
        table.add_row("companion", done.seismic_index, "")
    if done.alias:
        table.add_row("alias", f"{done.alias} → {done.alias_index}", state[done.alias_already])
    out.print(table)
    if done.already:
        out.print("Already deployed; nothing was changed.")
    elif not done.index_already:
        out.print(f"Next: sparse-ko index --index {escape(done.index)} --collection DIR", soft_wrap=True)
    if done.alias and done.alias_index != done.index:
        out.print(f"Then: sparse-ko deploy promote --alias {escape(done.alias)} --index {escape(done.index)}", soft_wrap=True)


def show_moved(moved: Moved, as_json: bool) -> None:
    """Show where an alias points now."""
    if as_json:
        print_json(asdict(moved))
    elif moved.before == moved.index:
        out.print(f"{escape(moved.alias)} → {escape(moved.index)}: it stands there already.")
    else:
        out.print(f"{escape(moved.alias)} → {escape(moved.index)} (before: {escape(moved.before or 'nowhere')})")


def show_removed(removed: Removed, done: str, as_json: bool) -> None:
    """Show what was taken down; `done` is the word for it."""
    if as_json:
        print_json(asdict(removed))
        return
    for kind, names in (("index", removed.indexes), ("pipeline", removed.pipelines), ("model", removed.models)):
        for name in names:
            out.print(f"{kind} {escape(name)} {done}")
    for model_id, users in removed.kept_models.items():
        out.print(f"model {escape(model_id)} stays: {escape(', '.join(users))} uses it")
    if not (removed.indexes or removed.models):
        out.print("Nothing was running; nothing was changed.")


def show_requests(target: Cluster, planned: list[PlannedRequest], findings: list[Finding], as_json: bool) -> None:
    """Show a dry run: what the preflight found, and every request that would be sent."""
    if as_json:
        requests = [asdict(request) for request in planned]
        print_json({"cluster": target.url, "findings": [asdict(finding) for finding in findings], "requests": requests})
        return
    marks = {"stop": "[bold red]stop[/]", "warning": "[yellow]warning[/]", "fine": "[green]fine[/]"}
    for finding in findings:
        out.print(f"{marks[finding.level]}  {escape(finding.what)}", soft_wrap=True)
        if finding.remedy:
            out.print(f"      {escape(finding.remedy)}", soft_wrap=True)
    for request in planned:
        _show_request(request)
    out.print("[dim]Nothing was written (--dry-run).[/]")


def _show_request(request: PlannedRequest) -> None:
    out.print(f"\n[bold]{request.method}[/] {escape(request.path)}", soft_wrap=True)
    if request.body is not None:
        body = request.body if isinstance(request.body, str) else json.dumps(request.body, ensure_ascii=False, indent=2)
        out.print(escape(body), soft_wrap=True)
