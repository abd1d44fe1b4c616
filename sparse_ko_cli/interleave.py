"""`interleave`: which of two rankers people prefer, by their clicks, logged or made up; the same for both programs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import UsageError
from retrieval_ko.evaluation.answers import answers_of
from retrieval_ko.evaluation.click_models import USERS, UserName, simulate, user_named
from retrieval_ko.evaluation.interleaving import SHOWN, Preference, preference, read_log, write_log
from retrieval_ko.evaluation.judging import queries_of
from retrieval_ko.evaluation.trec_runs import read_trec_run
from retrieval_ko.terminal import exit_on_error, notes, out, print_json
from sparse_ko_cli.requirement import need_torch

BM25 = "bm25"
LEAST_SIGNIFICANT = 0.05


def interleave(
    rankers: Annotated[
        list[str] | None,
        typer.Argument(help="Two of: bm25, a model's folder, a TREC run file.", metavar="A B"),
    ] = None,
    clicks: Annotated[
        Path | None, typer.Option(help="Instead: judge logged sessions, {query_id, shown, teams, clicks} a line.", metavar="FILE")
    ] = None,
    collection: Annotated[Path | None, typer.Option(help="Collection folder; by default the sample in the package.", metavar="DIR")] = None,
    split: Annotated[str, typer.Option(help="Whose queries are asked, and whose judgements the user knows.")] = "dev",
    user: Annotated[str, typer.Option(help=f"Who clicks: {', '.join(USERS)}.")] = "informational",
    sessions: Annotated[int, typer.Option(min=1, help="Pages shown for each query.")] = 10,
    size: Annotated[int, typer.Option(min=1, help="Results on a page.")] = SHOWN,
    seed: Annotated[int, typer.Option(min=0, help="Of coin and user.")] = 13,
    target: Annotated[Path | None, typer.Option("--out", help="Also write the sessions, as --clicks reads them.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Interleave two rankers by team draft and count whose results are clicked.

    Without logged clicks a user is simulated from judgements. docs/runs.md says what the users do and what it can't tell.

    Example: sparse-ko interleave bm25 runs/demo/model --user navigational
    """
    with exit_on_error():
        if clicks:
            if rankers:
                raise UsageError("--clicks judges what was logged; it takes no rankers.")
            _show(preference(read_log(clicks)), {"clicks": str(clicks)}, ("a", "b"), as_json=as_json)
            return
        if len(rankers or []) != 2:
            raise UsageError("Two rankers are compared.", "For example: sparse-ko interleave bm25 runs/demo/model")
        first, second = rankers or []
        if user not in USERS:
            raise UsageError(f"--user {user}: there are {', '.join(USERS)}.")
        for ranker in (first, second):
            _check_ranker(ranker)
        data = Collection.read(collection or sample_folder())
        answers = {query: set(passages) for query, passages in answers_of(data, split).items()}
        found_a, found_b = (rankings_of(ranker, data, split, size) for ranker in (first, second))
        made = list(simulate(found_a, found_b, answers, user_named(_known(user)), sessions=sessions, seed=seed, size=size))
        if target:
            write_log(target, made)
        facts = {"a": first, "b": second, "collection": data.name, "split": split, "user": user, "queries": len(answers), "seed": seed}
        _show(preference(made), facts, (first, second), as_json=as_json)


def rankings_of(ranker: str, collection: Collection, split: str, size: int) -> dict[str, list[str]]:
    """Return the passages that a ranker finds for each query of a split, best first.

    Args:
        ranker: bm25, the folder of a sparse encoder or of a bi-encoder, or a TREC run file.
        collection: what is searched.
        split: whose queries are asked.
        size: places of a ranking; both rankings of a page together need no more.

    Raises:
        DataError: the run file is damaged.
        ModelError: the model can't be used.
    """
    queries = queries_of(collection, split)
    if ranker == BM25:
        from retrieval_ko.bm25 import Bm25Index

        index = Bm25Index(collection.passages.values())
        return _ids(dict(zip(queries, index.rank_many(queries.values(), size), strict=True)))
    path = Path(ranker)
    if path.is_file():
        return {query: passages[:size] for query, passages in read_trec_run(path).items()}
    need_torch("interleave")
    from dense_ko.model_record import RECORD

    if (path / RECORD).exists():
        from dense_ko.encoder import BiEncoder
        from dense_ko.retrieval import DenseIndex

        dense = BiEncoder(ranker)
        return _ids(DenseIndex.of(dense, collection.passages.values()).rank_many(dense, queries, size))
    from sparse_ko.model import SparseEncoder
    from sparse_ko.retrieval import SparseIndex

    return _ids(SparseIndex(SparseEncoder.load(path), collection.passages.values()).rank_many(queries, size))


def _check_ranker(ranker: str) -> None:
    if ranker != BM25 and not Path(ranker).exists():
        raise UsageError(f"{ranker} is no ranker: neither bm25 nor a folder nor a file.", "A model is named by its folder: runs/demo/model")


def _ids(rankings: dict[str, list[tuple[str, float]]]) -> dict[str, list[str]]:
    return {query: [passage for passage, _ in ranking] for query, ranking in rankings.items()}


def _known(user: str) -> UserName:
    return next(name for name in USERS if name == user)


def _show(found: Preference, facts: dict[str, Any], names: tuple[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({**facts, **asdict(found), "ties": found.ties})
        return
    first, second = (escape(name) for name in names)
    out.print(
        f"{found.sessions} sessions, {found.clicked} with clicks: {first} won {found.wins_a}, {second} won {found.wins_b}, "
        f"{found.ties} were ties."
    )
    out.print(
        f"Δ {found.delta:+.4f} (above 0: {second} is preferred); p {found.p_queries:.4f} over {found.queries} queries, "
        f"{found.p_value:.4f} over sessions"
    )
    if found.p_queries >= LEAST_SIGNIFICANT:
        notes.print("That may be chance: ask more queries.")
