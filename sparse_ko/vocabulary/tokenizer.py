"""Pieces as a plain WordPiece tokenizer: the one that Python trains with, and the one that OpenSearch runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from retrieval_ko.errors import ModelError
from retrieval_ko.files import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUED = "##"
"""What stands before a piece that goes on with a word."""

_HOW_TO_MAKE_ONE = "A tokenizer's folder is made by: sparse-ko vocab train --input FILE --size 16000 --out DIR"


def normalizer() -> normalizers.Normalizer:
    """Return what every text passes before it is cut: NFC, no control characters, lower case, accents kept.

    BERT's own lower-casing strips accents after a decomposition (NFD), which takes Hangul apart into jamo.
    """
    return normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True)]
    )


def word_pieces(pieces: Sequence[str]) -> Tokenizer:
    """Return a WordPiece tokenizer over `pieces`, special tokens among them; cuts nothing off."""
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B {SEP}", special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])]
    )
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUED, cleanup=False)
    return tokenizer


def build_tokenizer(pieces: Sequence[str], max_tokens: int) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer over `pieces` that cuts texts at `max_tokens`, [CLS] and [SEP] included."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(pieces),
        unk_token=UNKNOWN,
        pad_token=PAD,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(folder: Path, max_tokens: int) -> PreTrainedTokenizerFast:
    """Return the tokenizer that `sparse-ko vocab train` wrote, cutting texts at `max_tokens`.

    Raises:
        ModelError: there is no such folder, or its tokenizer is no WordPiece with this package's special tokens.
        DataError: its tokenizer.json is not JSON.
    """
    content = read_tokenizer(folder)
    vocabulary = content["model"].get("vocab") if content["model"].get("type") == "WordPiece" else None
    if not isinstance(vocabulary, dict) or sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ModelError(f"The tokenizer in {folder} is no WordPiece whose ids count up from 0 without a gap.", _HOW_TO_MAKE_ONE)
    if missing := [token for token in SPECIAL_TOKENS if token not in vocabulary]:
        raise ModelError(f"The tokenizer in {folder} lacks the special tokens {', '.join(missing)}.", _HOW_TO_MAKE_ONE)
    return build_tokenizer(sorted(vocabulary, key=vocabulary.__getitem__), max_tokens)


def read_tokenizer(folder: Path) -> dict[str, dict[str, object]]:
    """Return what the tokenizer.json of a folder holds.

    Raises:
        ModelError: there is none, or it is not a tokenizer of the `tokenizers` library.
        DataError: it is not JSON.
    """
    path = tokenizer_file(folder)
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ModelError(f"{path} holds no tokenizer: the key `model` is missing.", _HOW_TO_MAKE_ONE)
    return content


def tokenizer_file(place: Path) -> Path:
    """Return the tokenizer.json that `place` is or holds, at its root or in one folder below (as doc-only models have it).

    Raises:
        ModelError: there is none, or there are several that differ.
    """
    place = Path(place)
    if place.is_file():
        return place
    if (place / "tokenizer.json").is_file():
        return place / "tokenizer.json"
    nested = sorted(place.glob("*/tokenizer.json"))
    if len({path.read_bytes() for path in nested}) > 1:
        names = ", ".join(path.parent.name for path in nested)
        raise ModelError(f"{place} holds several tokenizers, in {names}.", "Name one of these folders.")
    if not nested:
        hint = "A vocab.txt alone is not enough: save the tokenizer with transformers, which writes a tokenizer.json. "
        raise ModelError(f"There is no tokenizer.json in {place}.", (hint if (place / "vocab.txt").is_file() else "") + _HOW_TO_MAKE_ONE)
    return nested[0]
