"""`sparse-ko publish` and `lex-dpr publish`: a trained model as a folder for the hub or for the package, and its upload."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.errors import UsageError
from retrieval_ko.terminal import exit_on_error, notes, out, print_json
from sparse_ko_cli.evaluate import system_name
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from training_ko.publishing.folder import PublishedFolder
    from training_ko.publishing.model import Publisher

ModelOption = Annotated[Path, typer.Option(help="The model's folder, usually RUN/model.", metavar="DIR")]
RepoOption = Annotated[str | None, typer.Option(help="Name on the hub, e.g. our-team/korean-law-sparse.", metavar="OWNER/NAME")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to write the folder; without it, it is only uploaded.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Write the folder and show what would be uploaded; no network.")]
PackageOption = Annotated[
    bool, typer.Option("--as-package", help="Write it as the model that comes with a package: MODEL_CARD.md, nothing is uploaded.")
]
PrecisionOption = Annotated[Literal["fp32", "fp16"], typer.Option(help="Of the matrices on disk.")]
ShardOption = Annotated[str | None, typer.Option(help="Split the weights so that no file is larger, e.g. 45MB.", metavar="SIZE")]
EvaluationOption = Annotated[
    list[Path] | None, typer.Option(help="What `evaluate --out` wrote; several are several tables.", metavar="DIR")
]
SystemOption = Annotated[
    str | None, typer.Option(help="The model's name in the evaluations; by default what `evaluate` calls it.", metavar="NAME")
]
LicenceOption = Annotated[str, typer.Option(help="Of the weights, as SPDX names it.")]
LicenceOfOption = Annotated[
    list[str] | None, typer.Option(help="The licence of something that the model was made from and that states none.", metavar="NAME=SPDX")
]
AtOption = Annotated[
    list[Path] | None, typer.Option(help="Where a collection, a file or a base's run that the config names stands now.", metavar="DIR")
]
RunOption = Annotated[Path | None, typer.Option(help="The run's folder; by default the one that holds the model's.", metavar="DIR")]
LimitsOption = Annotated[Path | None, typer.Option(help="Markdown: what the model does badly.", metavar="FILE")]
WattsOption = Annotated[float | None, typer.Option(help="Power drawn while training; by default assumed from the hardware.", min=1)]
PrivateOption = Annotated[bool, typer.Option("--private", help="A repository that is made now is seen by its owner alone.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def publish_command(program: Literal["sparse-ko", "lex-dpr"]) -> Callable[..., None]:
    """Return the command `publish` of a program."""

    def publish(
        model: ModelOption,
        repo: RepoOption = None,
        folder: OutOption = None,
        dry_run: DryRunOption = False,
        as_package: PackageOption = False,
        precision: PrecisionOption = "fp32",
        max_shard_size: ShardOption = None,
        evaluation: EvaluationOption = None,
        system: SystemOption = None,
        licence: LicenceOption = "Apache-2.0",
        licence_of: LicenceOfOption = None,
        at: AtOption = None,
        run: RunOption = None,
        limits: LimitsOption = None,
        watts: WattsOption = None,
        private: PrivateOption = False,
        as_json: JsonOption = False,
    ) -> None:
        with exit_on_error(), ExitStack() as stack:
            _check_destination(repo, folder, dry_run=dry_run, as_package=as_package)
            need_torch(f"{program} publish")
            from training_ko.publishing.folder import PublishSettings, write_published_folder
            from training_ko.publishing.hub import check_can_upload, check_repo, upload
            from training_ko.publishing.record import Places
            from training_ko.weights import parse_size

            if repo is not None:
                check_repo(repo)
            uploads = not dry_run and not as_package
            if uploads:
                check_can_upload()
            target = folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "model"
            named = system or system_name(model, "sparse" if program == "sparse-ko" else "dense")
            settings = PublishSettings(
                model=model,
                name=repo.rpartition("/")[2] if repo else named,
                repo=None if as_package else repo,
                licence=licence,
                precision=precision,
                max_shard_size=parse_size(max_shard_size) if max_shard_size else None,
                run=run,
                evaluations=tuple(evaluation or ()),
                system=named,
                limits=limits,
                watts=watts,
                stated=_stated(licence_of or []),
                places=Places(tuple(at or ())),
            )
            done = write_published_folder(settings, _publisher(program), target, lambda step: notes.print(f"  {step} …"))
            if uploads and repo is not None:
                notes.print(f"  uploading {sum(size for _, size, _ in done.files) / 1e6:.1f} MB to {escape(repo)} …")
                address = upload(target, repo, private=private)
            else:
                address = None
            if as_json:
                kept = str(folder) if folder else None
                print_json(done.as_json() | {"folder": kept, "repo": repo, "uploaded": address})
                return
            _show(done, where=str(folder) if folder else None, repo=repo if dry_run else None, address=address)

    example = {
        "sparse-ko": "sparse-ko publish --model runs/law/model --repo our-team/korean-law-sparse --evaluation evaluations/law --dry-run "
        "--out published",
        "lex-dpr": "lex-dpr publish --model runs/lexdpr-law/model --repo our-team/lexdpr-law --precision fp16 --dry-run --out published",
    }
    publish.__doc__ = (
        "Write a trained model with its card, ready for the hub, and upload it.\n\n"
        "The card is made from the run's folder and the evaluations. What the model was trained on must have a licence that allows "
        "passing on the weights. The folder is loaded again and must answer as the model does. The token comes from HF_TOKEN or "
        f"`hf auth login`.\n\nExample: {example[program]}"
    )
    return publish


def _publisher(program: str) -> Publisher:
    if program == "sparse-ko":
        from sparse_ko.publishing import PUBLISHER

        return PUBLISHER
    from dense_ko.publishing import PUBLISHER as DENSE_PUBLISHER

    return DENSE_PUBLISHER


def _check_destination(repo: str | None, folder: Path | None, *, dry_run: bool, as_package: bool) -> None:
    if as_package and repo:
        raise UsageError("--as-package writes the model that comes with a package; --repo names one on the hub.", "Choose one of them.")
    if not as_package and not repo:
        raise UsageError("Missing: --repo OWNER/NAME.", "Or --as-package for the model that comes with a package.")
    if (as_package or dry_run) and folder is None:
        raise UsageError(f"{'--as-package' if as_package else '--dry-run'} only writes a folder.", "Say where: --out DIR")


def _stated(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, licence = pair.rpartition("=")
        if not equals or not name.strip() or not licence.strip():
            raise UsageError(f"--licence-of {pair}: expected NAME=LICENCE.", "For example: --licence-of klue/bert-base=CC-BY-SA-4.0")
        found[name.strip()] = licence.strip()
    return found


def _show(done: PublishedFolder, *, where: str | None, repo: str | None, address: str | None) -> None:
    table = Table("file", "bytes", "SHA-256", box=None)
    for column in table.columns[1:2]:
        column.justify = "right"
    for name, size, digest in done.files:
        table.add_row(escape(name), f"{size:,}", f"{digest[:16]}…")
    out.print(table)
    alike = done.likeness
    megabytes = sum(size for _, size, _ in done.files) / 1e6
    out.print(
        f"{megabytes:.1f} MB; {alike.texts} sample texts: largest deviation {alike.largest_deviation:.2g}, "
        f"lowest cosine {alike.lowest_cosine:.6f}"
    )
    if repo:
        out.print(escape(f"Nothing was uploaded; without --dry-run these files go to {repo}."), soft_wrap=True)
    if where:
        notes.print(f"Folder: {escape(where)}", soft_wrap=True)
    if address:
        out.print(escape(address), soft_wrap=True)
