"""Measure what vocabularies do to Korean passages they were not learnt from: ours beside plain WordPiece and byte-level BPE.

python scripts/bench_vocabulary.py COLLECTION… --share 0.05 --sizes 8000 16000 32000

All learn from the same texts, a share of all collections together. Measured are 2,000 passages of each collection that were not among them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from retrieval_ko.terminal import exit_on_error, notes, print_json
from retrieval_ko.terms import available_cores
from retrieval_ko.text import Morpheme, morphemes_of_many, normalize
from sparse_ko.vocabulary.audit import audit_of
from sparse_ko.vocabulary.counting import count_pieces
from sparse_ko.vocabulary.learning import choose_pieces
from sparse_ko.vocabulary.sources import count_lines, drawn, read_texts, text_files
from sparse_ko.vocabulary.tokenizer import SPECIAL_TOKENS, normalizer, word_pieces


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("collections", type=Path, nargs="+", help="collection folders")
    arguments.add_argument("--share", type=float, default=0.05, help="of the texts to learn from")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[8_000, 16_000, 32_000])
    arguments.add_argument("--sample", type=int, default=2_000, help="passages to measure on, of each collection")
    arguments.add_argument("--workers", type=int, default=available_cores())
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with exit_on_error():
        rows = list(measure(options.collections, options.share, options.sizes, options.sample, options.workers))
    if options.json:
        print_json(rows)
        return
    print("| size | vocabulary | collection | unknown | pieces per eojeol | nouns whole | particles apart |")
    print("|---:|---|---|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['size']:,} | {row['vocabulary']} | {row['collection']} | {row['unknown_share']:.2%} | {row['pieces_per_eojeol']:.2f} "
            f"| {row['nouns_whole']:.1%} | {row['particles_apart']:.1%} |"
        )


def measure(collections: Sequence[Path], share: float, sizes: Sequence[int], sample: int, workers: int) -> Iterator[dict[str, Any]]:
    """Yield one row for each size, vocabulary and collection."""
    files = text_files(collections)
    started = time.perf_counter()
    counts = count_pieces(read_texts(files, share), workers)
    notes.print(f"Kiwi's pass: {time.perf_counter() - started:.0f} s, {counts.total():,} pieces")
    held_out = {collection.resolve().name: _held_out(collection, share, sample) for collection in collections}
    analyses = {name: [list(found) for found in morphemes_of_many(texts)] for name, texts in held_out.items()}
    for size in sizes:
        vocabularies = {
            "Kiwi-segmented (ours)": word_pieces(choose_pieces(counts, size)),
            "WordPiece": _plain_word_piece(read_texts(files, share), size),
            "byte-level BPE": _byte_level(read_texts(files, share), size),
        }
        for name, tokenizer in vocabularies.items():
            for collection, texts in held_out.items():
                found = audit_of(tokenizer, name, texts, collection).sample
                if found:
                    rates = {"unknown_share": found.unknown_share, "pieces_per_eojeol": found.pieces_per_eojeol}
                    yield {
                        "size": size,
                        "vocabulary": name,
                        "collection": collection,
                        **rates,
                        **_kept(tokenizer, texts, analyses[collection]),
                    }


def _held_out(collection: Path, share: float, sample: int) -> list[str]:
    """Return passages that `share` does not draw."""
    files = text_files([collection], "passages")
    wider = min(1.0, share + 1.2 * sample / count_lines(files))
    texts: list[str] = []
    for file in files:
        for number, found in file.texts():
            name = f"{file.name}:{number}"
            if drawn(name, wider) and not drawn(name, share):
                texts += map(normalize, found)
    return texts[:sample]


def _kept(tokenizer: Tokenizer, texts: Sequence[str], analyses: Sequence[Sequence[Morpheme]]) -> dict[str, float]:
    """Return the share of nouns of two and more characters that are one piece, and of nouns before a particle at whose end a piece ends."""
    nouns = whole = before = apart = 0
    for text, analysis, encoding in zip(texts, analyses, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        spans = {(start + (text[start : start + 1] == " "), end) for start, end in encoding.offsets}
        ends = {end for _, end in spans}
        for morpheme, following in zip(analysis, [*analysis[1:], None], strict=True):
            if morpheme.tag not in ("NNG", "NNP"):
                continue
            if len(morpheme.form) > 1:
                nouns += 1
                whole += (morpheme.start, morpheme.end) in spans
            if following and following.tag.startswith("J") and following.start == morpheme.end:
                before += 1
                apart += morpheme.end in ends
    return {"nouns_whole": whole / max(nouns, 1), "particles_apart": apart / max(before, 1)}


def _plain_word_piece(texts: Iterator[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    )
    return tokenizer


def _byte_level(texts: Iterator[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


if __name__ == "__main__":
    main()
