"""`lex-dpr teacher train|score|evaluate` and `lex-dpr distill`; `teacher fit` is in lexdpr_ensemble.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection
from retrieval_ko.errors import UsageError
from retrieval_ko.files import folder_sha256
from retrieval_ko.terminal import exit_on_error, notes, out, print_json, progress_bar
from retrieval_ko.terms import Tokenization, available_cores
from sparse_ko_cli.lexdpr_ensemble import fit, load_encoder
from sparse_ko_cli.requirement import need_torch
from sparse_ko_cli.training import TakeOverOption, check_take_over

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="A teacher, cross-encoder or ensemble: make it, let it score pairs, measure it.", no_args_is_help=True)
app.command()(fit)

CollectionOption = Annotated[Path, typer.Option("--collection", help="A collection folder (BEIR).", metavar="DIR")]
_Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: training.epochs=1.")]
SamplesOption = Annotated[int | None, typer.Option(min=1, help="Queries at most, drawn by hash.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
TokenizationOption = Annotated[Tokenization, typer.Option(help="How BM25 cuts text; bigram needs no Kiwi.")]


def run_teacher(
    preset: str, changes: Mapping[str, Any], folder: Path | None, *, resume: bool, take_over: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Train a teacher with a progress bar and return what `--json` prints.

    Args:
        preset: a YAML file, or full, quick, scratch.
        changes: key → value; None is left out.
        folder: of the run; None: runs/NAME.
        resume: go on from the newest checkpoint.
        take_over: whether the run may be resumed though it says that it is at work on another machine.
        dry_run: read, count and stop.
    """
    from dense_ko.teacher.settings import TeacherSettings, read_preset
    from dense_ko.teacher.training import plan_teacher, train_teacher

    settings = read_preset(preset, dict(changes), TeacherSettings)
    if settings.collection is None:
        raise UsageError("A teacher learns from a collection's pairs, and none is named.", "Name it: --collection DIR --pairs train")
    collection = Collection.read(settings.collection)
    if dry_run:
        return plan_teacher(settings, collection).as_json()
    target = folder or Path("runs") / settings.name
    check_take_over(target, resume=resume, take_over=take_over)
    with steps_bar("steps", "training") as show:
        trained = train_teacher(settings, collection, target, data_hash=folder_sha256(settings.collection), resume=resume, on_progress=show)
    facts = trained.run.metadata()
    return {
        "run": str(trained.run.folder),
        "model": str(trained.model_folder),
        "dev_ndcg@10": round(trained.dev_ndcg, 4),
        "bm25_ndcg@10": round(facts["bm25_ndcg@10"], 4),
        "out_of_memory": facts["out_of_memory"],
    }


def run_distillation(
    preset: str, changes: Mapping[str, Any], folder: Path | None, *, resume: bool, take_over: bool = False
) -> dict[str, Any]:
    """Score candidates, train the student, and return what `--json` prints; arguments as `run_teacher`."""
    from dense_ko.distillation.run import distill
    from dense_ko.distillation.settings import PRESETS, DistillSettings
    from dense_ko.teacher.settings import read_preset

    settings = read_preset(preset, dict(changes), DistillSettings, PRESETS)
    if settings.collection is None:
        raise UsageError("A student learns from a collection's pairs, and none is named.", "Name it: --collection DIR --pairs train")
    folders = dict.fromkeys([settings.collection, *(place.collection for place in settings.data)])
    collections = {place: Collection.read(place) for place in folders}
    target = folder or Path("runs") / settings.name
    check_take_over(target, resume=resume, take_over=take_over)
    with steps_bar("", "scoring") as show:
        made = distill(
            settings,
            collections,
            target,
            resume=resume,
            on_scored=lambda done, total: show(done, total, "scoring queries"),
            on_progress=show,
            load_model=load_encoder,
        )
    return {
        "run": str(made.trained.run.folder),
        "model": str(made.trained.model_folder),
        "dev_ndcg@10": round(made.trained.dev_ndcg, 4),
        "scored": {name: report.as_json() for name, report in made.scored.items()},
    }


def pair_changes(collection: Path | None, pairs: str | None) -> dict[str, Any]:
    """Return the settings that name a collection and one of its pair files; JSON values."""
    if collection is None:
        return {}
    return {"collection": str(collection)} | ({"data": [{"collection": str(collection), "pairs": pairs}]} if pairs else {})


def parsed(changes: list[str] | None) -> dict[str, Any]:
    """Return `--set KEY=VALUE` as key → value.

    Raises:
        UsageError: one has no `=`, or its value is not YAML.
    """
    import yaml

    found: dict[str, Any] = {}
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {change}: expected KEY=VALUE, for example --set training.epochs=3.")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as failure:
            raise UsageError(f"--set {change}: the value is not YAML: {' '.join(str(failure).split())}.") from failure
    return found


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="A YAML file, or a preset: full, quick, scratch.")] = "full",
    collection: Annotated[Path | None, typer.Option(help="A collection folder (BEIR).", metavar="DIR")] = None,
    pairs: Annotated[str, typer.Option(help="Name of a file in its pairs/, with negatives.")] = "train",
    base: Annotated[str | None, typer.Option(help="What it starts as: a folder, or a name on the hub.")] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="From scratch: a tokenizer's folder.", metavar="DIR")] = None,
    max_samples: SamplesOption = None,
    changes: _Changes = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")] = None,
    resume: _Resume = False,
    take_over: TakeOverOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show data and steps, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a cross-encoder on labelled pairs: answers against mined negatives.

    Example: lex-dpr teacher train quick --collection my-collection --base klue/roberta-base --out runs/teacher
    """
    with exit_on_error():
        need_torch("lex-dpr teacher train")
        own = pair_changes(collection, pairs) | {
            "model.base": base,
            "model.vocabulary": None if vocabulary is None else str(vocabulary),
            "training.max_samples": max_samples,
        }
        found = run_teacher(preset, own | parsed(changes), folder, resume=resume, take_over=take_over, dry_run=dry_run)
        if as_json:
            print_json(found)
        elif dry_run:
            for source in found["sources"]:
                out.print(f"{source['lists']:>12,} lists from {escape(source['name'])}")
            out.print(f"{found['steps']:>12,} steps, {found['steps_per_epoch']:,} an epoch")
            out.print(f"BM25 alone on dev: nDCG@10 {found['bm25_ndcg@10']:.3f}")
        else:
            out.print(
                f"The teacher is in {escape(found['model'])}; dev nDCG@10 after re-ranking {found['dev_ndcg@10']:.3f}, "
                f"BM25 before it {found['bm25_ndcg@10']:.3f}.",
                soft_wrap=True,
            )
            notes.print(f"Next: lex-dpr distill --teacher {escape(found['model'])} --collection DIR", soft_wrap=True)


@app.command()
def score(
    model: Annotated[str, typer.Option(help="The teacher: a folder, or a re-ranker's name on the hub.", metavar="DIR")],
    collection: CollectionOption,
    pairs: Annotated[str, typer.Option(help="Name of a file in its pairs/, with negatives.")] = "train",
    out_pairs: Annotated[str | None, typer.Option(help="Name of the file that is written there; by default PAIRS-scored.")] = None,
    k: Annotated[int, typer.Option("--k", "--K", min=2, help="Candidates a query, answers among them.")] = 16,
    own: Annotated[int, typer.Option(min=0, help="Of them, so many that the teacher itself ranks highest; an ensemble only.")] = 0,
    filter_share: Annotated[
        float, typer.Option(min=0, help="Leave out negatives above this share of the answer's probability; 0: none.")
    ] = 0.95,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Pairs at once.")] = 32,
    max_samples: SamplesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a teacher's scores into a pair file, for dense and sparse students; a stopped run goes on where it was.

    Example: lex-dpr teacher score --model runs/teacher/model --collection my-collection --k 8
    """
    with exit_on_error():
        need_torch("lex-dpr teacher score")
        from dense_ko.distillation.run import SCORED
        from dense_ko.distillation.scoring import already_scored, score_pairs
        from dense_ko.distillation.settings import CandidateSettings
        from dense_ko.teacher.loading import load_teacher, teacher_sha256

        settings = CandidateSettings(k=k, own=own, filter_share=filter_share or None, batch_size=batch_size, max_samples=max_samples)
        name = out_pairs or f"{pairs}{SCORED}"
        source, target = (collection / "pairs" / f"{stem}.jsonl" for stem in (pairs, name))
        made_by = teacher_sha256(model)
        report = already_scored(made_by, source, target, settings)
        if report is None:
            data = Collection.read(collection)
            with steps_bar("queries", "scoring") as show:
                report = score_pairs(
                    load_teacher(model, data, collection, load_encoder),
                    made_by,
                    data,
                    source,
                    target,
                    settings,
                    on_progress=lambda done, total: show(done, total, "scoring"),
                )
        if as_json:
            print_json({"pairs": str(target), **report.as_json()})
            return
        if report.found_whole:
            out.print(f"{escape(str(target))} is there already, by this teacher and these settings.", soft_wrap=True)
            return
        out.print(
            f"{escape(str(target))}: {len(report.kept):,} queries, {report.candidates:,} candidates; left out as likely answers: "
            f"{report.left_out:,}; queries without a negative left: {report.without_negatives:,}.",
            soft_wrap=True,
        )
        if report.resumed:
            out.print(f"Of an earlier run: {report.resumed:,} queries.")
        notes.print(
            f"Next: ranking.loss=kl (or margin-mse) with data: [{{pairs: {escape(name)}}}] and training.hard_negatives={k - 1}",
            soft_wrap=True,
        )


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="The teacher: a folder, or a re-ranker's name on the hub.", metavar="DIR")],
    collection: CollectionOption,
    split: Annotated[str, typer.Option(help="Whose queries are asked.")] = "dev",
    depth: Annotated[int, typer.Option(min=2, max=1000, help="BM25's best passages that are re-ranked.")] = 100,
    tokenization: TokenizationOption = Tokenization.BIGRAM,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Pairs at once.")] = 32,
    max_samples: SamplesOption = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also write evaluation.json and figures here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Re-rank BM25's best passages and judge both orders; how far apart answers and others are.

    Example: lex-dpr teacher evaluate --model runs/teacher/model --collection my-collection --depth 50 --out evaluations/teacher
    """
    with exit_on_error():
        need_torch("lex-dpr teacher evaluate")
        from dense_ko.teacher.evaluation import evaluate_teacher
        from dense_ko.teacher.loading import load_teacher

        data = Collection.read(collection)
        teacher = load_teacher(model, data, collection, load_encoder)
        with steps_bar("pairs", "re-ranking") as show:
            found = evaluate_teacher(
                teacher,
                data,
                split,
                depth=depth,
                tokenization=tokenization,
                batch_size=batch_size,
                max_samples=max_samples,
                workers=available_cores(),
                on_progress=lambda done, total: show(done, total, "re-ranking"),
            )
        if folder:
            found.write(folder)
        if as_json:
            print_json(found.report)
            return
        for row in found.report["systems"]:
            out.print(f"{row['system']:<24} nDCG@10 {row['ndcg@10']:.3f}  MRR@10 {row['mrr@10']:.3f}  R@10 {row['recall@10']:.3f}")
        out.print(f"p {found.report['p_value']:.4f}, {found.report['queries']:,} queries, {depth} passages each")
        show_separation(found.report, "logit")


def distill(
    preset: Annotated[str, typer.Argument(help="A YAML file, or a preset: full, quick, scratch.")] = "full",
    teacher: Annotated[str | None, typer.Option(help="A teacher's folder, or a re-ranker's name on the hub.", metavar="DIR")] = None,
    collection: Annotated[Path | None, typer.Option(help="A collection folder (BEIR).", metavar="DIR")] = None,
    pairs: Annotated[str, typer.Option(help="Name of a file in its pairs/, with negatives.")] = "train",
    student: Annotated[str | None, typer.Option(help="What the student starts as: a folder, or a name on the hub.")] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="From scratch: a tokenizer's folder.", metavar="DIR")] = None,
    k: Annotated[int | None, typer.Option("--k", "--K", min=2, help="Candidates a query, answers among them.")] = None,
    tau: Annotated[float | None, typer.Option(help="Temperature of the student's cosines.")] = None,
    max_samples: SamplesOption = None,
    changes: _Changes = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; by default runs/NAME.")] = None,
    resume: _Resume = False,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a bi-encoder on what a teacher says: it scores every query's candidates once, then the student learns.

    A sparse student: lex-dpr teacher score, then sparse-ko train with ranking.loss=kl.

    Example: lex-dpr distill quick --teacher runs/teacher/model --collection my-collection --out runs/student
    """
    with exit_on_error():
        need_torch("lex-dpr distill")
        own = pair_changes(collection, pairs) | {
            "teacher": teacher,
            "model.base": student,
            "model.vocabulary": None if vocabulary is None else str(vocabulary),
            "candidates.k": k,
            "candidates.max_samples": max_samples,
            "distillation.temperature": tau,
        }
        found = run_distillation(preset, own | parsed(changes), folder, resume=resume, take_over=take_over)
        if as_json:
            print_json(found)
            return
        for name, report in found["scored"].items():
            out.print(f"{escape(name)}: {report['candidates']:,} candidates, {report['left_out']:,} left out.", soft_wrap=True)
        out.print(f"The student is in {escape(found['model'])}; dev nDCG@10 {found['dev_ndcg@10']:.3f}.", soft_wrap=True)
        notes.print(f"Next: lex-dpr margins --model {escape(found['model'])} --collection DIR --out DIR", soft_wrap=True)


def show_separation(report: Mapping[str, Any], unit: str) -> None:
    """Print how far apart answers and others stand: counts, means, AUC and the best threshold, in `unit`."""
    for name in ("positives", "negatives", "margins"):
        values = report[name]
        if values["count"]:
            out.print(f"{name:<10} {values['count']:>8,}  mean {values['mean']:.3f}  median {values['median']:.3f}")
    if report["auc"] is not None:
        threshold = report["threshold"]
        out.print(f"AUC {report['auc']:.3f}; best F1 {threshold['f1']:.3f} from a {unit} of {threshold['score']:.3f} on")


@contextmanager
def steps_bar(unit: str, doing: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar of a work in steps; what is yielded is told how much of the step is done, of how much, and what it is."""
    with progress_bar(unit) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total, words: bar.update(task, completed=done, total=total, description=escape(words) or doing)
