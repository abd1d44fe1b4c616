"""`sparse-ko data synonyms`: Korean–English terms built, sampled, checked, looked up and merged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from retrieval_ko.collection import read_synonyms
from retrieval_ko.errors import DataError
from retrieval_ko.files import write_jsonl
from retrieval_ko.records import SynonymPair
from retrieval_ko.synonyms.building import NAMES_FILE, TEST_FILE, TRAINING_FILE, build, row_of, write_built
from retrieval_ko.synonyms.checking import check_folder
from retrieval_ko.synonyms.dictionary import SynonymDictionary
from retrieval_ko.synonyms.merging import merge
from retrieval_ko.synonyms.reading import chosen, read_source
from retrieval_ko.synonyms.sampling import SAMPLE_SIZE, sample
from retrieval_ko.synonyms.splitting import TEST_SIZE
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar

SHOWN = 20

app = typer.Typer(help="Korean–English terms that mean the same.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="A folder that `synonyms build` wrote.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("build")
def build_folder(
    source: Annotated[list[Path], typer.Option(help="JSONL, CSV, TSV (also .zst, .gz) or a collection folder; may be repeated.")],
    out_folder: Annotated[Path, typer.Option("--out", help="The folder to write.", metavar="DIR")],
    sources: Annotated[str, typer.Option(help="Only these sources, e.g. 'cldr-*,soundblue-*'.")] = "",
    licences: Annotated[str, typer.Option("--licence-filter", help="Only these licences, e.g. 'Apache-2.0,Unicode-3.0'.")] = "",
    also: Annotated[
        list[Path] | None, typer.Option(help="What training reads besides; its terms stay out of the test list.", metavar="FILE")
    ] = None,
    test_size: Annotated[int, typer.Option(min=0, help="Pairs of the test list, which no training sees.")] = TEST_SIZE,
    seed: Annotated[int, typer.Option(help="Decides which pairs the test list gets.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Clean pairs by rule, draw a test list, and write synonyms.jsonl, synonyms-test.jsonl, names.jsonl and report.json.

    Example: sparse-ko data synonyms build --source ko_en.jsonl.zst --out synonyms
    """
    with exit_on_error():
        _refuse_foreign_folder(out_folder)
        is_chosen = chosen(_listed(sources), _listed(licences))
        pairs = []
        with progress_bar("files") as bar:
            for path in bar.track(source, description="Reading"):
                pairs += [pair for pair in read_source(path) if is_chosen(pair)]
        if not pairs:
            raise DataError("No pair was read.", "Look at --source, --sources and --licence-filter.")
        besides = [pair for path in also or [] for pair in read_source(path)]
        with notes.status(f"Cleaning {len(pairs):,} pairs"):
            built = build(pairs, also=besides, test_size=test_size, seed=seed)
        write_built(built, out_folder)
        if as_json:
            print_json(built.report)
        else:
            _show_report(built.report, out_folder)


@app.command("sample")
def show_sample(
    folder: FolderArgument,
    size: Annotated[int, typer.Option(min=1, help="How many pairs.")] = SAMPLE_SIZE,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw pairs of training and test list for people to judge by reading; names are not among them.

    Example: sparse-ko data synonyms sample synonyms --size 200 --seed 3
    """
    with exit_on_error():
        drawn = sample(_read(folder, TRAINING_FILE, TEST_FILE), size, seed)
        _show_pairs(drawn, as_json)


@app.command("check")
def check(
    folder: FolderArgument,
    also: Annotated[list[Path] | None, typer.Option(help="A further file that training reads; may be repeated.", metavar="FILE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find faulty lines, and training pairs that share a term with the test list. Exit code 1 where there are some.

    Example: sparse-ko data synonyms check synonyms --also my-collection/synonyms.jsonl
    """
    with exit_on_error():
        defects = check_folder(folder, also or [])
        if as_json:
            print_json([defect._asdict() for defect in defects])
        else:
            for defect in defects[:SHOWN]:
                out.print(escape(str(defect)), soft_wrap=True)
            if len(defects) > SHOWN:
                out.print(f"… and {len(defects) - SHOWN:,} more; --json lists all.")
            if not defects:
                out.print(escape(f"{folder} is fine: no faulty line, and no term on both sides of the split."), soft_wrap=True)
    if defects:
        raise typer.Exit(1)


@app.command("lookup")
def lookup(
    folder: FolderArgument,
    term: Annotated[str, typer.Argument(help="A Korean or an English term.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a term is in the other language. Exit code 1 where it is not there.

    Example: sparse-ko data synonyms lookup synonyms 손해배상
    """
    with exit_on_error():
        found = SynonymDictionary(_read(folder, TRAINING_FILE, TEST_FILE, NAMES_FILE)).lookup(term)
        if not found and not as_json:
            out.print(escape(f"{folder} does not hold {term!r}."), soft_wrap=True)
        else:
            _show_pairs(found, as_json)
    if not found:
        raise typer.Exit(1)


@app.command("merge")
def merge_files(
    files: Annotated[list[Path], typer.Argument(help="Files or collection folders; a later one has the say.", metavar="FILE FILE…")],
    target: Annotated[Path, typer.Option("--out", help="The file to write.", metavar="FILE")],
    as_json: JsonOption = False,
) -> None:
    """Merge files: where a later one has a Korean term, its English sides replace those of earlier files.

    Example: sparse-ko data synonyms merge synonyms.jsonl mine.csv --out merged.jsonl
    """
    with exit_on_error():
        merged = merge(files)
        write_jsonl(target, (row_of(pair) for pair in merged.pairs))
        if as_json:
            conflicts = [conflict._asdict() for conflict in merged.conflicts]
            print_json({"pairs": len(merged.pairs), "repeated": merged.repeated, "conflicts": conflicts})
            return
        said = f"{len(merged.pairs):,} pairs; {merged.repeated:,} repeated, {len(merged.conflicts):,} in conflict"
        out.print(escape(f"{target}: {said}."), soft_wrap=True)
        for conflict in merged.conflicts[:SHOWN]:
            dropped, kept = ", ".join(conflict.dropped), ", ".join(conflict.kept)
            out.print(escape(f"{conflict.ko}: {dropped} → {kept} ({conflict.where})"), soft_wrap=True)
        if len(merged.conflicts) > SHOWN:
            out.print(f"… and {len(merged.conflicts) - SHOWN:,} more; --json lists all.")


def _listed(patterns: str) -> list[str]:
    return [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]


def _refuse_foreign_folder(folder: Path) -> None:
    """Refuse to put a synonym folder in the place of something else."""
    if folder.exists() and not (folder.is_dir() and ((folder / TRAINING_FILE).is_file() or not any(folder.iterdir()))):
        raise DataError(f"{folder} exists and is no synonym folder.", "Name another folder with --out.")
    if (folder / "corpus.jsonl").exists():
        raise DataError(f"{folder} is a collection; it would be replaced.", "Name another folder with --out.")


def _read(folder: Path, *files: str) -> list[SynonymPair]:
    if not (folder / TRAINING_FILE).is_file():
        raise DataError(f"{folder} is no synonym folder: it holds no {TRAINING_FILE}.", "sparse-ko data synonyms build --help")
    return [pair for file in files if (folder / file).is_file() for pair in read_synonyms(folder / file)]


def _show_pairs(pairs: list[SynonymPair], as_json: bool) -> None:
    if as_json:
        print_json([row_of(pair) for pair in pairs])
        return
    table = Table("", "Korean", "English", "source", "field", box=None)
    for number, pair in enumerate(pairs, start=1):
        table.add_row(str(number), *(escape(value) for value in (pair.ko, pair.en, pair.source, pair.domain)))
    out.print(table)


def _show_report(report: dict[str, Any], folder: Path) -> None:
    counts = report["pairs"]
    out.print(
        escape(
            f"{folder}: {counts['training']:,} training pairs, {counts['test']:,} test pairs, {counts['names']:,} names apart; "
            f"{counts['left_out']:,} of {counts['read']:,} left out."
        ),
        soft_wrap=True,
    )
    table = Table("left out because", "pairs", box=None)
    for rule, count in report["left_out"].items():
        table.add_row(escape(rule), f"{count:,}")
    out.print(table)
    for licence, members in report["licences"].items():
        out.print(escape(f"{licence}: {', '.join(members)}"), soft_wrap=True)
