"""`sparse-ko explain`: why a passage matched, in the terminal and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from retrieval_ko.collection import Collection, parents_of
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import write_text
from retrieval_ko.records import Passage
from retrieval_ko.terminal import exit_on_error, notes, out, print_json
from sparse_ko_cli.encoder import JsonOption, ModelOption
from sparse_ko_cli.requirement import need_torch

if TYPE_CHECKING:
    from sparse_ko.explanation import Explanation, MarkedSpan, ReadText
    from sparse_ko.model import SparseEncoder

MOST_PASSAGES = 5
"""Relevant passages of a query that are shown where none is named."""
_PALE, _FULL = (226, 242, 234), (16, 150, 105)
"""Background of the smallest and of the largest contribution."""


class Asked(NamedTuple):
    """A query and the passages to explain it by."""

    query: str
    passages: list[Passage]
    of_parents: bool = False
    """Whether they are all passages of parents, of which only the best is wanted."""


def explain(
    query: Annotated[str | None, typer.Argument(help="A question or keywords.")] = None,
    passage: Annotated[str | None, typer.Argument(help="A passage; without it the query's own weights are shown.")] = None,
    *,
    model: ModelOption = None,
    collection: Annotated[Path | None, typer.Option(help="Take query and passages from this collection.", metavar="DIR")] = None,
    query_id: Annotated[str | None, typer.Option(help="A query of the collection.", metavar="ID")] = None,
    passage_id: Annotated[
        list[str] | None, typer.Option(help="A passage of the collection, or several; by default the relevant ones.", metavar="ID")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page that shows it in colour.", metavar="FILE")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many tokens to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what a query asks for, and which tokens it shares with a passage.

    Example: sparse-ko explain --model runs/demo/model "월세 밀리면" "차임을 연체하면 임대인은 계약을 해지할 수 있다"
    """
    with exit_on_error():
        need_torch("sparse-ko explain")
        from sparse_ko.explanation import explain as explained
        from sparse_ko.explanation_page import ExplainedPassage, explanation_page
        from sparse_ko.model import SparseEncoder
        from sparse_ko.packaged import packaged_model

        model = model or packaged_model()
        asked = _asked(query, passage, collection, query_id, passage_id or [])
        encoder = SparseEncoder.load(model)
        if asked is None:
            if html:
                raise UsageError("--html needs a passage to explain.", "Give one after the query, or --collection with --query-id.")
            _show_query(encoder, str(query), top, as_json=as_json)
            return
        if asked.of_parents:
            asked = _best_of_each_parent(encoder, asked)
        found = [explained(encoder, asked.query, one.passage_text) for one in asked.passages]
        if html:
            headings = [one.title or one.id for one in asked.passages]
            write_text(html, explanation_page([ExplainedPassage(*pair) for pair in zip(headings, found, strict=True)]))
        if as_json:
            print_json(_json(asked, found, top, by_id=collection is not None, query_id=query_id))
        else:
            for one, why in zip(asked.passages, found, strict=True):
                _show(one, why, top)
        if html:
            notes.print(f"Page: {escape(str(html))}", soft_wrap=True)


def _asked(query: str | None, passage: str | None, folder: Path | None, query_id: str | None, passage_ids: Sequence[str]) -> Asked | None:
    """Return what to explain; None where there is a query and no passage."""
    if folder is None:
        if query_id or passage_ids:
            raise UsageError("--query-id and --passage-id need a collection.", "Name it with --collection DIR.")
        if query is None:
            raise UsageError("There is nothing to explain.", "Give a query and a passage, or --collection DIR --query-id ID.")
        return None if passage is None else Asked(query, [Passage(_id="passage", text=passage)])
    if passage is not None or (query is not None and query_id):
        raise UsageError("With --collection the passage comes from there, and the query is either typed or named by --query-id.")
    data = Collection.read(folder)
    if query_id is not None and query_id not in data.queries:
        raise DataError(f"The collection {folder} has no query {query_id!r}.")
    if query is None and query_id is None:
        raise UsageError("There is no query.", "Type one, or name one with --query-id ID.")
    if unknown := [one for one in passage_ids if one not in data.passages]:
        raise DataError(f"The collection {folder} has no passage {unknown[0]!r}.")
    text = data.queries[query_id].text if query_id is not None else str(query)
    if passage_ids:
        return Asked(text, [data.passages[one] for one in passage_ids])
    if query_id is None:
        raise UsageError("There is no passage.", "Name one with --passage-id ID.")
    judged = [one for judgements in data.judgements.values() for one, grade in judgements.get(query_id, {}).items() if grade > 0]
    if not judged:
        raise DataError(f"The collection {folder} knows no relevant passage for {query_id!r}.", "Name one with --passage-id ID.")
    wanted = list(dict.fromkeys(judged))[:MOST_PASSAGES]
    if data.judged == "passage":
        return Asked(text, [data.passages[one] for one in wanted])
    parents = parents_of(data.passages.values())
    return Asked(text, [one for parent in wanted for one in data.passages.values() if parents[one.id] == parent], of_parents=True)


def _best_of_each_parent(encoder: SparseEncoder, asked: Asked) -> Asked:
    """Keep of each parent the passage that scores best, since that is where the parent stands in a ranking."""
    weights = encoder.encode_document([one.passage_text for one in asked.passages])
    scores = (weights @ encoder.encode_query([asked.query]).T).toarray().ravel().tolist()
    best: dict[str, tuple[float, Passage]] = {}
    for one, score in zip(asked.passages, scores, strict=True):
        parent = one.metadata["parent_id"]
        if parent not in best or score > best[parent][0]:
            best[parent] = (score, one)
    return Asked(asked.query, [one for _, one in best.values()], of_parents=False)


def _json(asked: Asked, found: Sequence[Explanation], top: int, *, by_id: bool, query_id: str | None) -> dict[str, Any]:
    rows = []
    for one, why in zip(asked.passages, found, strict=True):
        terms = [
            {**match._asdict(), "in_query": why.query.contains(match.token), "in_passage": why.passage.contains(match.token)}
            for match in why.matches[:top]
        ]
        rows.append({"id": one.id, "passage": one.passage_text, "score": why.score, "terms": terms})
    if by_id:
        return {"query": asked.query, "query_id": query_id, "passages": rows}
    return {"query": asked.query, **{key: value for key, value in rows[0].items() if key != "id"}}


def _show_query(encoder: SparseEncoder, query: str, top: int, *, as_json: bool) -> None:
    [weights] = encoder.to_tokens(encoder.encode_query([query]), top)
    if as_json:
        print_json({"query": query, "weights": weights})
        return
    table = Table("token", "weight", box=None)
    for token, weight in weights.items():
        table.add_row(escape(token), f"{weight:.3f}")
    out.print(table)


def _show(passage: Passage, why: Explanation, top: int) -> None:
    largest = max((match.contribution for match in why.matches), default=0.0)
    if passage.id != "passage":
        out.print(f"[bold]{escape(passage.id)}[/]")
    out.print(_coloured(why.query, why.query_spans(), largest))
    out.print()
    out.print(_coloured(why.passage, why.passage_spans(), largest))
    expansions = why.expansions[:top]
    if expansions:
        shown = "  ".join(f"[yellow]{escape(match.token)}[/] {match.contribution:.2f}" for match in expansions)
        out.print(f"\nExpansions, tokens that the query or the passage does not contain: {shown}")
    table = Table("token", "query", "passage", "adds", box=None, caption=f"score {why.score:.3f}, {len(why.matches)} shared tokens")
    for match in why.matches[:top]:
        table.add_row(escape(match.token), f"{match.query_weight:.3f}", f"{match.passage_weight:.3f}", f"{match.contribution:.3f}")
    out.print(table)


def _coloured(read: ReadText, spans: Sequence[MarkedSpan], largest: float) -> Text:
    text = Text()
    for start, end, match in spans:
        piece = read.text[start:end]
        if match is not None and largest:
            share = match.contribution / largest
            red, green, blue = (round(pale + (full - pale) * share) for pale, full in zip(_PALE, _FULL, strict=True))
            text.append(piece, style=f"black on rgb({red},{green},{blue})")
        else:
            text.append(piece, style="dim" if read.is_cut and start >= read.read_characters else "")
    return text
