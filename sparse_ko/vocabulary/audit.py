"""What a tokenizer does to Korean text, measured, and which OpenSearch fields its model can serve.

ML Commons sends a weight under the name `decode([id])`; the field `rank_features` is filled by these names, `sparse_vector` by ids.
A tokenizer whose ids share a name loses weights in the first, one with too many ids breaks the second.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from retrieval_ko.collection import sample_folder
from retrieval_ko.errors import DataError, ModelError
from sparse_ko.vocabulary.findings import FieldType, Finding, findings_of, obstacles
from sparse_ko.vocabulary.sources import count_lines, read_texts, text_files
from sparse_ko.vocabulary.tokenizer import read_tokenizer, tokenizer_file

SAMPLE_TEXTS = 2_000
"""Texts of a sample that are read, drawn by hash: enough that rates are right to a few tenths of a percent."""
EXAMPLES = 5
REPLACEMENT = "\ufffd"
COMPATIBILITY_PROBES = "㈜①Ａ１ㄱ½㎏ﬁ豈℃ﬀ㏊…"
"""Characters that NFKC, or a careless normaliser, turns into others; those that NFC changes too are not counted."""
_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_HANGUL = re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e]")
_UNUSED = re.compile(r"[\[<]\|?(unused|extra_id_|reserved)[^\]>]*[\]>]", re.IGNORECASE)


@dataclass(frozen=True)
class SampleMeasures:
    """What the tokenizer does to a sample of texts."""

    name: str
    texts: int
    unknown_share: float
    """Of the pieces, those that are [UNK]."""
    pieces_per_eojeol: float
    """Pieces a white-space word; the fewer, the more of a word's meaning stands in one dimension."""
    vocabulary_used: float
    """Share of the pieces that occur at all."""
    nfd_share: float
    """Of the texts, those that get other pieces when their Hangul is written as separate jamo (NFD)."""


@dataclass(frozen=True)
class VocabularyAudit:
    """The measures of one tokenizer; `findings` says what they mean."""

    tokenizer: str
    kind: str
    """WordPiece, Unigram, BPE or WordLevel."""
    ids: int
    largest_id: int
    special: int
    unused: int
    """Placeholders such as [unused7]; they take a dimension each and never occur."""
    gaps: int
    """Numbers below the largest id that no piece has."""
    unmarked_special: tuple[str, ...]
    """Tokens that the post-processor adds though they are not marked as special: they get weights and keys of their own."""
    collisions: int
    """Ids whose key another id has too."""
    colliding: tuple[tuple[str, tuple[str, ...]], ...]
    """Examples: a key, and pieces that have it."""
    replacement_keys: int
    """Ids whose key holds U+FFFD, since they are parts of a character."""
    empty_keys: int
    """Ids, specials left out, whose key is empty: ML Commons drops their weights."""
    hangul_share: float
    """Of the pieces, those that hold Hangul."""
    decomposes_hangul: bool
    """Whether syllables are taken apart into jamo before they are cut."""
    changed_characters: tuple[tuple[str, str], ...]
    """Compatibility characters that become others: ㈜ → (주)."""
    strips_accents: bool
    folds_case: bool
    truncation: int | None
    """Where texts are cut, by tokenizer.json itself."""
    sample: SampleMeasures | None

    @property
    def findings(self) -> list[Finding]:
        """What the measures mean, the gravest first."""
        return findings_of(self)

    @property
    def field_types(self) -> list[FieldType]:
        """The OpenSearch field types that a model with this tokenizer can serve."""
        return [field for field, reasons in obstacles(self).items() if not reasons]

    def check_serves(self, field: FieldType) -> None:
        """Make sure that a model with this tokenizer can fill fields of a type.

        Raises:
            ModelError: it can't; says why, and what can.
        """
        if reasons := obstacles(self)[field]:
            remedies = dict.fromkeys(finding.remedy for finding in reasons)
            raise ModelError(" ".join(finding.meaning for finding in reasons), " ".join(remedies))

    def as_json(self) -> dict[str, Any]:
        """Return measures, findings and field types as plain values."""
        served = {field: [finding.name for finding in reasons] for field, reasons in obstacles(self).items()}
        fields = {field: {"served": not reasons, "forbidden_by": reasons} for field, reasons in served.items()}
        return {**asdict(self), "findings": [asdict(finding) for finding in self.findings], "field_types": fields}


def audit_tokenizer(path: Path, sample: Path | None = None) -> VocabularyAudit:
    """Return the audit of a tokenizer of any kind.

    Args:
        path: a tokenizer.json, or the folder of a tokenizer or a model.
        sample: a file or a collection (its passages are read), of which 2,000 texts are drawn; None: the sample collection in the package.

    Raises:
        ModelError: there is no tokenizer, or the `tokenizers` library cannot load it.
        DataError: the sample is missing, damaged or empty.
    """
    file = tokenizer_file(path)
    read_tokenizer(path)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as failure:  # the library raises nothing more special
        raise ModelError(
            f"{file} cannot be loaded: {failure}.", "It must be written by the `tokenizers` library or by transformers."
        ) from failure
    chosen = Path(sample) if sample else sample_folder()
    files = text_files([chosen], "passages")
    lines = count_lines(files)
    texts = list(read_texts(files, min(1.0, SAMPLE_TEXTS / lines) if lines else 1.0))
    if not texts:
        raise DataError(f"{chosen} holds no text to measure with.")
    return audit_of(tokenizer, str(path), texts, chosen.resolve().name if sample else "the package's sample")


def audit_of(tokenizer: Tokenizer, name: str, texts: Sequence[str] = (), sample_name: str = "") -> VocabularyAudit:
    """Return the audit of a loaded tokenizer.

    Args:
        tokenizer: is not changed.
        name: what the audit calls it.
        texts: a sample; empty: only what shows without one is measured.
        sample_name: what the audit calls the sample.
    """
    special = special_ids(tokenizer)
    pieces = {number: piece for piece, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    keys = {number: key for number, key in keys_of(tokenizer).items() if number not in special}
    shared = _shared(keys)
    return VocabularyAudit(
        tokenizer=name,
        kind=type(tokenizer.model).__name__,
        ids=len(pieces),
        largest_id=max(pieces),
        special=len(special),
        unused=sum(bool(_UNUSED.fullmatch(piece)) for piece in pieces.values()),
        gaps=max(pieces) + 1 - len(pieces),
        unmarked_special=tuple(pieces[number] for number in _copy(tokenizer).encode("").ids if number not in special),
        collisions=sum(map(len, shared)),
        colliding=tuple((keys[ids[0]], tuple(pieces[number] for number in ids[:EXAMPLES])) for ids in shared[:EXAMPLES]),
        replacement_keys=sum(REPLACEMENT in key for key in keys.values()),
        empty_keys=sum(not key for key in keys.values()),
        hangul_share=sum(bool(_HANGUL.search(key)) for key in keys.values()) / max(len(keys), 1),
        decomposes_hangul=any(map(_JAMO.search, map(_normalized(tokenizer), "한국각힣"))),
        changed_characters=_changed_characters(tokenizer),
        strips_accents=_normalized(tokenizer)("é") == "e",
        folds_case=_normalized(tokenizer)("Search") == "search",
        truncation=tokenizer.truncation["max_length"] if tokenizer.truncation else None,
        sample=_measure(tokenizer, texts, sample_name, len(pieces)) if texts else None,
    )


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Return the ids of the tokens that are marked as special; decoding leaves them out."""
    return {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def keys_of(tokenizer: Tokenizer) -> dict[int, str]:
    """Return what ML Commons calls each id: the id decoded alone, special tokens left out as ''."""
    return {
        number: tokenizer.decode([number], skip_special_tokens=True)
        for number in sorted(tokenizer.get_vocab(with_added_tokens=True).values())
    }


def _shared(keys: dict[int, str]) -> list[list[int]]:
    """Return the ids of each key that several have, the most shared first. Empty keys are dropped by ML Commons, not mixed up."""
    ids: dict[str, list[int]] = {}
    for number, key in keys.items():
        if key:
            ids.setdefault(key, []).append(number)
    return sorted((found for found in ids.values() if len(found) > 1), key=lambda found: (-len(found), found))


def _copy(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer without truncation and padding, which would hide what becomes of a text."""
    copied = Tokenizer.from_str(tokenizer.to_str())
    copied.no_truncation()
    copied.no_padding()
    return copied


def _normalized(tokenizer: Tokenizer) -> Any:  # noqa: ANN401  text → text
    normalizer = tokenizer.normalizer
    # Metaspace normalisers put ▁ for spaces and before the text
    return (lambda text: normalizer.normalize_str(text).strip("▁ ")) if normalizer else (lambda text: text)


def _changed_characters(tokenizer: Tokenizer) -> tuple[tuple[str, str], ...]:
    normalized = _normalized(tokenizer)
    probes = [char for char in COMPATIBILITY_PROBES if unicodedata.normalize("NFC", char) == char]
    return tuple((char, normalized(char)) for char in probes if normalized(char) != char.lower() and normalized(char) != char)


def _measure(tokenizer: Tokenizer, texts: Sequence[str], name: str, ids: int) -> SampleMeasures:
    plain = _copy(tokenizer)
    encoded = [encoding.ids for encoding in plain.encode_batch(list(texts), add_special_tokens=False)]
    pieces = sum(map(len, encoded))
    unknown = _unknown_id(tokenizer)
    composed = plain.encode_batch([unicodedata.normalize("NFC", text) for text in texts], add_special_tokens=False)
    decomposed = plain.encode_batch([unicodedata.normalize("NFD", text) for text in texts], add_special_tokens=False)
    return SampleMeasures(
        name=name,
        texts=len(texts),
        unknown_share=sum(row.count(unknown) for row in encoded) / max(pieces, 1) if unknown is not None else 0.0,
        pieces_per_eojeol=pieces / max(sum(len(text.split()) for text in texts), 1),
        vocabulary_used=len({number for row in encoded for number in row}) / ids,
        nfd_share=sum(one.ids != other.ids for one, other in zip(composed, decomposed, strict=True)) / len(texts),
    )


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is not None:
        known: int | None = tokenizer.token_to_id(model["unk_token"])
        return known
    return None if model.get("unk_id") is None else int(model["unk_id"])
