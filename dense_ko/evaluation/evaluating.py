"""The whole evaluation of one split: BM25's rows, the bi-encoders' rows, and each of them without its template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dense_ko.encoder import BiEncoder
from dense_ko.evaluation.measuring import measure_encoder
from dense_ko.templates import TemplateMode
from retrieval_ko.bm25 import Ranking
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.baselines import Baseline, bm25_rows
from retrieval_ko.evaluation.evaluation_json import evaluation_json
from retrieval_ko.evaluation.groups import query_groups
from retrieval_ko.evaluation.identity import conditions, data_hashes
from retrieval_ko.evaluation.judging import EVALUATION_DEPTH, SystemResult
from retrieval_ko.term_cache import TermCache

WITHOUT_TEMPLATE = "-no-template"
TYPE = "type"
"""Key of a passage's metadata that says which kind of document it is from, and of the grouping by it."""

OnProgress = Callable[[str, int, int], None]
"""Told what is done, how many passages of it, and of how many."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and how."""

    split: str = "dev"
    baselines: Sequence[Baseline] = tuple(Baseline)
    marks: Sequence[str] = ()
    """Keys of the queries' metadata by which nDCG@10 is reported too."""
    by_type: bool = False
    """Whether nDCG@10 is reported by the type of document that answers."""
    without_template: bool = False
    """Whether texts are read as they are, whatever the model was trained with."""
    ablate_template: bool = False
    """Whether each model has a second row without its template."""
    depth: int = EVALUATION_DEPTH
    workers: int = 1
    command: str = ""
    """What was typed, for the report."""


@dataclass
class Evaluation:
    """All that an evaluation found."""

    report: dict[str, Any]
    results: list[SystemResult]


def evaluate_models(
    models: Mapping[str, str],
    folder: Path,
    collection: Collection,
    settings: EvaluationSettings,
    *,
    terms: TermCache | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
    further_rows: Callable[[str, Mapping[str, Ranking]], Sequence[SystemResult]] | None = None,
) -> Evaluation:
    """Measure BM25 and bi-encoders on one split, one after the other.

    Args:
        models: name of the row → model folder, name on the hub, or alias.
        folder: of the collection, for the hashes of its files.
        collection: as read from there.
        settings: what is measured.
        terms: Kiwi's analyses of earlier runs.
        on_progress: told how far encoding and Kiwi are.
        further_rows: what else is to stand in the table for each encoder, given its row's name and its first 100 places a query:
            hybrids, for example.

    Raises:
        DataError: there is no such split, or no passage has a type by which to group.
        ModelError: a model folder is missing or damaged.
        UsageError: a template is to be left out of a model that has none.
    """
    total = len(collection.passages)
    groups = query_groups(collection, settings.split, settings.marks)
    if settings.by_type:
        groups[TYPE] = queries_by_type(collection, settings.split)
    encoders = _loaded(models, settings)
    results = bm25_rows(
        collection,
        settings.split,
        settings.baselines,
        depth=settings.depth,
        workers=settings.workers,
        cache=terms,
        on_progress=lambda name, done: on_progress(f"bm25-{name}", done, total),
    )
    for name, encoder in encoders.items():
        measured = measure_encoder(
            encoder,
            name,
            collection,
            settings.split,
            depth=settings.depth,
            on_progress=lambda done, name=name: on_progress(name, done, total),  # type: ignore[misc]
        )
        ablated = name not in models  # the question there is the template's worth, not what goes well with a model misread
        results += [measured.result, *(further_rows(name, measured.rankings()) if further_rows and not ablated else ())]
        del measured
    report = evaluation_json(
        collection,
        settings.split,
        results,
        depth=settings.depth,
        data=data_hashes(folder, collection, settings.split),
        conditions=_conditions(settings),
        groups=groups,
    )
    if settings.ablate_template:
        report["template_ablation"] = _ablations(report, models)
    return Evaluation(report, results)


def queries_by_type(collection: Collection, split: str) -> dict[str, list[str]]:
    """Return the queries of a split by the type of document that answers them; one that several types answer stands with each of them.

    Raises:
        DataError: there is no such split, or no passage says of which type it is.
    """
    types: dict[str, str] = {}
    for passage in collection.passages.values():
        name = passage.metadata["parent_id"] if collection.judged == "parent" else passage.id
        types.setdefault(name, str(passage.metadata.get(TYPE, "unmarked")))
    if set(types.values()) == {"unmarked"}:
        raise DataError(
            f"No passage of {collection.name} says of which type it is (metadata.{TYPE} in corpus.jsonl).",
            "Leave --by-type out, or group by a key of the queries: --group KEY",
        )
    found: dict[str, list[str]] = {}
    for query, relevant in collection.relevant(split).items():
        for name in sorted({types[answer] for answer in relevant}):
            found.setdefault(name, []).append(query)
    return dict(sorted(found.items()))


def _loaded(models: Mapping[str, str], settings: EvaluationSettings) -> dict[str, BiEncoder]:
    """Load all models before the work begins, so that a damaged one is known at once."""
    found: dict[str, BiEncoder] = {}
    for name, model in models.items():
        found[name] = encoder = BiEncoder(model)
        if not (settings.ablate_template or settings.without_template):
            continue
        if encoder.template is TemplateMode.NONE:
            raise UsageError(
                f"{model} reads texts as they are: there is no template to leave out.",
                "Leave --ablate-template and --no-template out.",
            )
        plain = encoder.with_template(TemplateMode.NONE)
        if settings.without_template:
            found[name] = plain
        else:
            found[name + WITHOUT_TEMPLATE] = plain
    return found


def _ablations(report: Mapping[str, Any], models: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what its template gives each model: nDCG@10 with it and without, the difference, and the test of it."""
    rows = {row["system"]: row for row in report["systems"]}
    tests = {(row["first"], row["second"]): row for row in report["comparisons"]}
    found = []
    for name in models:
        plain = name + WITHOUT_TEMPLATE
        test = tests[name, plain]
        found.append(
            {
                "system": name,
                "template": rows[name]["template"],
                "with": rows[name]["ndcg@10"],
                "without": rows[plain]["ndcg@10"],
                "difference": test["difference"],
                "p_value": test["p_value"],
            }
        )
    return found


def _conditions(settings: EvaluationSettings) -> dict[str, Any]:
    import torch

    found = conditions() | {"workers": settings.workers, "torch_threads": torch.get_num_threads()}
    found["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    return found | ({"command": settings.command} if settings.command else {})
