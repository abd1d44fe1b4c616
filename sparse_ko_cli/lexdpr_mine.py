"""`lex-dpr mine`: negatives for a collection's training pairs, found by a bi-encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval_ko.collection import Collection
from retrieval_ko.pairs.mining import MiningReport, MiningSettings
from retrieval_ko.terminal import exit_on_error, progress_bar
from sparse_ko_cli.data.negatives import PairFiles, Siblings, counted, counter, groups_of, show_mined
from sparse_ko_cli.requirement import need_torch


def mine(
    model: Annotated[str, typer.Option(help="What ranks: a model folder, a name on the hub, or an alias.", metavar="DIR")],
    collection: Annotated[Path, typer.Option(help="A collection folder (BEIR).", metavar="DIR")],
    split: Annotated[list[str], typer.Option(help="Whose queries get negatives; may be repeated.")] = ["train"],  # noqa: B006  read only
    hard: Annotated[int, typer.Option(help="Hard negatives a query.", min=0)] = 10,
    random: Annotated[int, typer.Option(help="Random negatives a query.", min=0)] = 5,
    depth: Annotated[int, typer.Option(help="How many of the model's best are looked at.", min=1)] = 100,
    skip_first: Annotated[int, typer.Option(help="Ranks at the top to pass over.", min=0)] = 0,
    score_share: Annotated[
        float, typer.Option(help="Hold back what scores this share of the best positive, or more; 0: do not ask.", min=0)
    ] = 0.95,
    siblings: Annotated[
        Siblings, typer.Option(help="parent: no passage of a positive's parent. auto: so where judgements name parents.")
    ] = Siblings.AUTO,
    seed: Annotated[int, typer.Option(help="Of the random negatives.")] = 0,
    out_file: Annotated[Path | None, typer.Option("--out", help="For one split; else DIR/pairs/SPLIT.jsonl.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Add negatives to the pairs of a split: passages that a trained model ranks high and that are no answers, and random ones.

    The positives are those of DIR/pairs/SPLIT.jsonl where it is there, else what the split's judgements call relevant. Training then
    goes on from that model: lex-dpr train CONFIG --model DIR --set 'data=[{pairs: train}]' --set training.hard_negatives=4

    Example: lex-dpr mine --model runs/dense/model --collection my-collection --hard 8
    """
    with exit_on_error():
        need_torch("lex-dpr mine")
        from dense_ko.encoder import BiEncoder
        from dense_ko.mining import mine_with_model, pairs_of
        from dense_ko.retrieval import DenseIndex

        settings = MiningSettings(hard=hard, random=random, depth=depth, skip_first=skip_first, score_share=score_share or None, seed=seed)
        read = Collection.read(collection)
        files = PairFiles(read, collection, split, out_file)
        groups = groups_of(read, siblings)
        encoder = BiEncoder(model)
        report = MiningReport()
        with progress_bar("") as bar:
            index = DenseIndex.of(encoder, read.passages.values(), counter(bar, "Passages into vectors", len(read.passages)))
            asked = files.asked(lambda name: pairs_of(encoder, read, name, index))
            group_of = groups.__getitem__ if groups else None
            mined = mine_with_model(encoder, read, asked, settings, report, index=index, group_of=group_of)
            written = files.write(counted(mined, bar, len(asked)))
        show_mined(report, written, as_json=as_json)
