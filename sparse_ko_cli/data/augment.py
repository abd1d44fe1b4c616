"""`sparse-ko data augment`: variants of training queries and passages, written beside the pairs they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from retrieval_ko.collection import Collection, read_synonyms
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import write_jsonl
from retrieval_ko.pairs.augmentation import TRAINING_SPLIT, augmented_pairs, passage_variants, seed_of, training_only
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair
from retrieval_ko.synonyms.building import TEST_FILE
from retrieval_ko.synonyms.checking import first_shared_side
from retrieval_ko.synonyms.dictionary import SynonymDictionary
from retrieval_ko.terminal import exit_on_error, out, print_json, progress_bar


def augment(
    collection: Annotated[Path, typer.Argument(help="A collection folder with pairs/train.jsonl or qrels/train.tsv.", metavar="DIR")],
    target: Annotated[Path, typer.Option("--out", help="The file for the new pairs; the old ones are not in it.", metavar="FILE")],
    synonyms: Annotated[Path | None, typer.Option(help="Training synonyms, for --crosslingual.", metavar="FILE")] = None,
    crosslingual: Annotated[int, typer.Option(min=0, help="Cross-lingual variants of a query at most.")] = 2,
    simple: Annotated[int, typer.Option(min=0, help="Simple variants of a query at most.")] = 1,
    passages: Annotated[int, typer.Option(min=0, help="Variants of a positive passage at most; needs --passages-out.")] = 0,
    passages_out: Annotated[Path | None, typer.Option(help="The file for passage variants.", metavar="FILE")] = None,
    split: Annotated[str, typer.Option(help="Only the training split may be augmented.")] = TRAINING_SPLIT,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write variants of training queries: terms in the other language, particles dropped, keywords. Never of dev or test.

    Example: sparse-ko data augment my-collection --synonyms synonyms/synonyms.jsonl --out my-collection/pairs/augmented.jsonl
    """
    with exit_on_error():
        training_only(split)
        if crosslingual and synonyms is None:
            raise UsageError("--crosslingual needs --synonyms FILE.", "Name the training list, or write --crosslingual 0.")
        if bool(passages) != (passages_out is not None):
            raise UsageError("--passages N and --passages-out FILE go together.")
        dictionary = _dictionary(synonyms) if crosslingual and synonyms else None
        read = Collection.read(collection)
        pairs = _training_pairs(collection, read)
        counts: Counter[str] = Counter(queries=len(pairs))

        def counted() -> Iterator[TrainingPair]:
            with progress_bar("queries") as bar:
                for pair in bar.track(pairs, description="Augmenting"):
                    variants = augmented_pairs([pair], split, dictionary=dictionary, crosslingual=crosslingual, simple=simple, seed=seed)
                    for variant in variants:
                        counts[variant.meta["augmented"]] += 1
                        yield variant

        write_pairs(target, counted())
        if passages_out is not None:
            counts["passages"] = _write_passages(read, pairs, passages, passages_out, seed)
        _show(counts, target, as_json)


def _dictionary(source: Path) -> SynonymDictionary:
    """Read the training list, and refuse it where it is, or overlaps with, the test list beside it."""
    test = source.parent / TEST_FILE
    if source.name == TEST_FILE:
        raise UsageError(f"{source} is the test list: no training step may see it.", "Name the synonyms.jsonl beside it.")
    pairs = read_synonyms(source)
    if test.is_file() and (shared := first_shared_side(test, source)):
        raise DataError(f"{shared}.", f"sparse-ko data synonyms check {source.parent}")
    return SynonymDictionary(pairs)


def _training_pairs(folder: Path, collection: Collection) -> list[TrainingPair]:
    source = folder / "pairs" / "train.jsonl"
    if source.is_file():
        return list(read_pairs(source))
    if collection.judged == "parent":
        raise DataError(f"{folder}: its judgements name parents, not passages, so they are no pairs.", f"Write {source} first.")
    return [
        TrainingPair(query_id=query, query_text=collection.queries[query].text, positive_passages=positives)
        for query, positives in collection.relevant(TRAINING_SPLIT).items()
    ]


def _write_passages(collection: Collection, pairs: list[TrainingPair], count: int, target: Path, seed: int) -> int:
    positives = sorted({passage for pair in pairs for passage in pair.positive_passages})
    missing = next((passage for passage in positives if passage not in collection.passages), None)
    if missing is not None:
        raise DataError(f"A training pair names the passage {missing!r}, which corpus.jsonl does not hold.")
    variants = (
        variant
        for passage in positives
        for variant in passage_variants(collection.passages[passage], count, seed_of(seed, "passage", passage))
    )
    return write_jsonl(target, (variant.model_dump(by_alias=True, exclude_defaults=True) for variant in variants))


def _show(counts: Counter[str], target: Path, as_json: bool) -> None:
    facts = {name: counts[name] for name in ("queries", "crosslingual", "simple", "passages")}
    if as_json:
        print_json({**facts, "out": str(target)})
        return
    said = f"{target}: {facts['crosslingual']:,} cross-lingual and {facts['simple']:,} simple variants"
    out.print(escape(f"{said} of {facts['queries']:,} training queries."), soft_wrap=True)
    if facts["passages"]:
        out.print(f"{facts['passages']:,} variants of passages.")
