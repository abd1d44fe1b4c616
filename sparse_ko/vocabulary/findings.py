"""What an audit says: each measure with what it means for a search, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sparse_ko.vocabulary.audit import VocabularyAudit

FieldType = Literal["rank_features", "sparse_vector"]
FIELD_TYPES: tuple[FieldType, ...] = ("rank_features", "sparse_vector")
Level = Literal["forbids", "warning", "note", "fine"]
LEVELS: tuple[Level, ...] = ("forbids", "warning", "note", "fine")

LARGEST_SPARSE_VECTOR_ID = 32_767
"""OpenSearch 3.3 to 3.8 keep token ids of a `sparse_vector` field in a signed short (neural-search `SparseConstants`)."""
MUCH_UNKNOWN = 0.01
MANY_PIECES = 3.0
LITTLE_HANGUL = 0.25

WORD_PIECE = "Take a WordPiece vocabulary (klue/bert-base, skt/A.X-Encoder-base, or one of `sparse-ko vocab train`)"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: of the check.
        level: whether it forbids a field type, costs quality, is worth knowing, or is fine.
        found: what was measured, in a few words.
        meaning: what that does to a search; empty where it is fine.
        remedy: what to do; empty where nothing need be done.
        forbids: the field types that such a tokenizer can't serve.
    """

    name: str
    level: Level
    found: str
    meaning: str = ""
    remedy: str = ""
    forbids: tuple[FieldType, ...] = ()


def obstacles(audit: VocabularyAudit) -> dict[FieldType, list[Finding]]:
    """Return field type → the findings that forbid it."""
    findings = findings_of(audit)
    return {field: [finding for finding in findings if field in finding.forbids] for field in FIELD_TYPES}


def findings_of(audit: VocabularyAudit) -> list[Finding]:
    """Return what the measures of an audit mean, the gravest first."""
    findings = [*_keys(audit), *_ids(audit), *_characters(audit), *_sample(audit)]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _fine_or(
    problem: Level, name: str, found: str, meaning: str, remedy: str = "", *, fine: bool, forbids: tuple[FieldType, ...] = ()
) -> Finding:
    return Finding(name, "fine", found) if fine else Finding(name, problem, found, meaning, remedy, forbids)


def _number(count: int) -> str:
    return f"{count:,} ids" if count else "none"


def _keys(audit: VocabularyAudit) -> Iterator[Finding]:
    """Say what the names of the ids are worth."""
    examples = "; ".join(" and ".join(map(repr, pieces[:2])) + f" are both {key!r}" for key, pieces in audit.colliding[:3])
    yield _fine_or(
        "forbids",
        "decode collisions",
        _number(audit.collisions),
        f"{audit.collisions:,} tokens of this vocabulary are spelt like another one when decoded alone ({examples}), "
        "so ML Commons, which sends weights by spelling, would lose their weights.",
        f"{WORD_PIECE}, or a field of the type sparse_vector, which goes by ids.",
        fine=not audit.collisions,
        forbids=("rank_features",),
    )
    yield _fine_or(
        "warning",
        "keys with U+FFFD",
        _number(audit.replacement_keys),
        "These ids are parts of a character: they match whatever shares a byte, and no person can read them.",
        f"{WORD_PIECE}; byte-level BPE has such ids by its nature.",
        fine=not audit.replacement_keys,
    )
    yield _fine_or(
        "note",
        "empty keys",
        _number(audit.empty_keys),
        "ML Commons drops their weights. A lone word boundary (▁) has such a key.",
        fine=not audit.empty_keys,
    )


def _ids(audit: VocabularyAudit) -> Iterator[Finding]:
    """Say what the number and kind of the ids mean."""
    yield _fine_or(
        "forbids",
        "largest id",
        f"{audit.largest_id:,}",
        f"The largest id is {audit.largest_id:,}; a sparse_vector field of OpenSearch 3.3 to 3.8 keeps ids up to "
        f"{LARGEST_SPARSE_VECTOR_ID:,}, and above gives wrong scores or fails.",
        "Prune the vocabulary (`sparse-ko vocab prune`), or use rank_features where its keys are unique.",
        fine=audit.largest_id <= LARGEST_SPARSE_VECTOR_ID,
        forbids=("sparse_vector",),
    )
    yield _fine_or(
        "warning",
        "special tokens",
        f"{', '.join(audit.unmarked_special)} not marked" if audit.unmarked_special else f"{audit.special:,}",
        "Tokens that stand around every text get keys of their own, which match every text.",
        "Save the tokenizer with transformers, which marks them.",
        fine=not audit.unmarked_special,
    )
    yield _fine_or(
        "note",
        "unused ids",
        f"{audit.unused:,} placeholders, {audit.gaps:,} gaps" if audit.unused or audit.gaps else "none",
        "They take a dimension each and never match.",
        "`sparse-ko vocab prune` removes them.",
        fine=not audit.unused and not audit.gaps,
    )
    yield _fine_or(
        "note",
        "truncation",
        "none" if audit.truncation is None else f"{audit.truncation:,} tokens",
        "ML Commons would cut at 512 tokens, whatever the model was trained for.",
        "`sparse-ko export` fills it in.",
        fine=audit.truncation is not None,
    )
    yield _fine_or(
        "warning",
        "Hangul",
        f"{audit.hangul_share:.0%} of the pieces",
        "Most dimensions are of no use for Korean, and their logits cost time and memory all the same.",
        "`sparse-ko vocab prune` keeps what a corpus uses; `sparse-ko vocab train` makes one for Korean.",
        fine=audit.hangul_share >= LITTLE_HANGUL,
    )


def _characters(audit: VocabularyAudit) -> Iterator[Finding]:
    """Say what becomes of characters before they are cut."""
    yield _fine_or(
        "warning",
        "jamo",
        "Hangul is taken apart" if audit.decomposes_hangul else "syllables stay whole",
        "Syllables become jamo before they are cut: pieces are fragments that Korean words share by chance.",
        "Lower-casing that strips accents does that (BERT's default): set strip_accents to false and add NFC.",
        fine=not audit.decomposes_hangul,
    )
    yield _fine_or(
        "note",
        "compatibility",
        ", ".join(f"{before} → {after or 'nothing'}" for before, after in audit.changed_characters[:6]) or "characters stay what they are",
        "Such characters become others (NFKC): ㈜ and (주) are one word, and what is highlighted may be off by characters.",
        fine=not audit.changed_characters,
    )
    yield _fine_or(
        "note",
        "accents",
        "stripped" if audit.strips_accents else "kept",
        "café is found as cafe; where Hangul is decomposed on the way, see jamo.",
        fine=not audit.strips_accents,
    )
    yield _fine_or(
        "note", "case", "folded" if audit.folds_case else "kept", "OpenSearch and opensearch are two words.", fine=audit.folds_case
    )


def _sample(audit: VocabularyAudit) -> Iterator[Finding]:
    """Say how the sample was cut."""
    sample = audit.sample
    if sample is None:
        return
    yield _fine_or(
        "warning",
        "NFC and NFD",
        f"{sample.nfd_share:.0%} of the texts differ" if sample.nfd_share else "the same pieces",
        "The same words, written as separate jamo (file names of macOS, some crawls), get other pieces and are not found.",
        "Put an NFC normaliser first, or bring texts to NFC before they are indexed and asked.",
        fine=not sample.nfd_share,
    )
    yield _fine_or(
        "warning",
        "unknown",
        f"{sample.unknown_share:.2%} of the pieces",
        "What is unknown can't be found.",
        "Learn a vocabulary from texts like these: `sparse-ko vocab train`.",
        fine=sample.unknown_share <= MUCH_UNKNOWN,
    )
    yield _fine_or(
        "warning",
        "pieces per eojeol",
        f"{sample.pieces_per_eojeol:.2f}",
        "Words fall apart into pieces that other words share, and a passage of 256 pieces holds little text.",
        "Take a vocabulary made for Korean, or learn one: `sparse-ko vocab train`.",
        fine=sample.pieces_per_eojeol <= MANY_PIECES,
    )
    yield Finding("vocabulary used", "fine", f"{sample.vocabulary_used:.0%} by {sample.texts:,} texts of {sample.name}")
