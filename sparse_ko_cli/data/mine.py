"""`sparse-ko data mine`: hard and random negatives for a collection's training pairs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from retrieval_ko.bm25 import Bm25Index
from retrieval_ko.collection import Collection
from retrieval_ko.pairs.mining import MiningReport, MiningSettings, mine, pairs_of, unmarked_answers
from retrieval_ko.term_cache import TermCache
from retrieval_ko.terminal import exit_on_error, progress_bar
from retrieval_ko.terms import Tokenization, available_cores
from sparse_ko_cli.data.negatives import PairFiles, Siblings, counted, counter, groups_of, show_mined


def mine_negatives(
    collection: Annotated[Path, typer.Argument(help="A collection folder (BEIR).", metavar="DIR")],
    split: Annotated[list[str], typer.Option(help="Whose queries get negatives; may be repeated.")] = ["train"],  # noqa: B006  read only
    hard: Annotated[int, typer.Option(help="Hard negatives a query.", min=0)] = 10,
    random: Annotated[int, typer.Option(help="Random negatives a query.", min=0)] = 5,
    depth: Annotated[int, typer.Option(help="How many of BM25's best are looked at.", min=1)] = 100,
    skip_first: Annotated[int, typer.Option(help="Ranks at the top to pass over.", min=0)] = 0,
    score_share: Annotated[
        float, typer.Option(help="Hold back what scores this share of the best positive, or more; 0: do not ask.", min=0)
    ] = 0.95,
    tokenization: Annotated[Tokenization, typer.Option(help="What BM25 counts; bigram needs no Kiwi.")] = Tokenization.KIWI_CONTENT,
    siblings: Annotated[
        Siblings, typer.Option(help="parent: no passage of a positive's parent. auto: so where judgements name parents.")
    ] = Siblings.AUTO,
    workers: Annotated[int, typer.Option(help="Processes for Kiwi and threads for BM25; 0: one a core.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of the random negatives.")] = 0,
    cache: Annotated[bool, typer.Option("--cache", help="Keep Kiwi's analyses on disk and use those that are there.")] = False,
    out_file: Annotated[Path | None, typer.Option("--out", help="For one split; else DIR/pairs/SPLIT.jsonl.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Add negatives to the pairs of a split: passages that BM25 holds for answers and that are none, and random ones.

    The positives are those of DIR/pairs/SPLIT.jsonl where it is there, else what the split's judgements call relevant.

    Example: sparse-ko data mine my-collection --hard 32 --tokenization bigram
    """
    with exit_on_error(), ExitStack() as stack:
        settings = MiningSettings(hard=hard, random=random, depth=depth, skip_first=skip_first, score_share=score_share or None, seed=seed)
        read = Collection.read(collection)
        files = PairFiles(read, collection, split, out_file)
        groups = groups_of(read, siblings)
        store = stack.enter_context(TermCache()) if cache and tokenization.needs_kiwi else None
        report = MiningReport()
        with progress_bar("") as bar:
            index = Bm25Index(
                read.passages.values(),
                tokenization=tokenization,
                workers=workers or available_cores(),
                cache=store,
                on_progress=counter(bar, "Passages into terms", len(read.passages)),
            )
            asked = files.asked(lambda name: list(pairs_of(read, name, index)))
            rankings = counted(index.rank_many((pair.query_text for pair in asked), depth), bar, len(asked))
            mined = mine(
                asked,
                read.passages,
                rankings,
                settings,
                report,
                group_of=groups.__getitem__ if groups else None,
                excluded=unmarked_answers(read),
            )
            written = files.write(mined)
        show_mined(report, written, as_json=as_json)
