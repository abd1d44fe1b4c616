"""One pair at a time: what is mended, what is put apart as a name, and what is left out, by rule."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from retrieval_ko.synonyms.keys import Key, english_key, korean_key, squeezed
from retrieval_ko.synonyms.names import is_common, kind_of_name
from retrieval_ko.synonyms.reading import RawPair
from retrieval_ko.text import CONTENT_TAGS, Morpheme, normalize

LONGEST_TERM_WORDS = 5
"""A term of more words is a sentence or a title: nobody types it as one term."""
LONGEST_KOREAN_CHARACTERS = 25
LONGEST_ENGLISH_CHARACTERS = 45
_HANGUL = re.compile(r"[가-힣]")
_LONE_JAMO = re.compile(r"[\u1100-\u11ff\u3130-\u318f]")
_ODD_ENGLISH = re.compile(r"[^\w\s'’.&+#/,-]|_|^[^\w.]|[^\w.+#']$")
_STEM_TAGS = ("VV", "VA", "VX", "XSV", "XSA")
_COPULA_TAGS = ("VCP", "VCN")
_FOREIGN_STARTS = ("l'", "L'", "d'", "D'")
_FOREIGN_WORDS = frozenset(
    {"la", "il", "le", "les", "el", "los", "las", "der", "die", "das", "des", "du", "della", "und", "et", "y", "lingua"}
)
_COMPANY_ENDINGS = frozenset({"inc", "ltd", "co", "corp", "llc", "gmbh", "plc"})
_OWNERS = frozenset({"author", "children", "doctor", "editor", "men", "publisher", "teacher", "translator", "women", "writer"})
"""What is left of "author's preface" in a source that was cut at the apostrophe."""
_NOUN_SOURCES = ("wikipedia", "cldr-", "d2l", "cncf", "soundblue-programming")
"""Sources of nouns only: what Kiwi takes for a verb stem there is a noun that it does not know."""


class Rule(StrEnum):
    """Why a pair was left out, mended or put apart; the words stand in the report."""

    EMPTY = "a side is empty"
    ONE_CHARACTER = "a side is one character"
    NUMBERS = "a side is digits and symbols only"
    IDENTICAL = "both sides are the same"
    NO_HANGUL = "the Korean side holds no Hangul"
    LONE_JAMO = "the Korean side holds single letters of Hangul"
    NOT_LATIN = "the English side is not in Latin letters"
    ODD_SIGNS = "the English side holds brackets or is cut off"
    TOO_LONG = "a side is a sentence, not a term"
    INFLECTED = "the Korean side is an inflected form or ends in a particle"
    NO_CONTENT = "the Korean side holds no word that search counts"
    NO_TERM = "the English side is a helper of its data set"
    RUN_TOGETHER = "the English side is an identifier, words run together"
    HALF_TRANSLATED = "the English side translates only a part of the Korean one"
    COMPANY = "the English side ends like a company's name"
    FOREIGN = "the second side is Latin, French, German… not English"


class Clean(NamedTuple):
    """A pair that may be used.

    Args:
        apart: empty for a term; "names" or "abbreviations" for a pair that goes to a file of its own.
        mended: what was changed, empty where nothing was.
    """

    ko: str
    en: str
    source: str
    domain: str
    ko_key: Key
    en_key: Key
    ko_squeezed: str
    en_squeezed: str
    apart: str = ""
    mended: tuple[str, ...] = ()


def clean(raw: RawPair, ko: str, analysis: Sequence[Morpheme], *, is_listed_verb: bool = False) -> Clean | Rule:
    """Judge one pair.

    Args:
        raw: the pair as its file holds it.
        ko: its Korean side, normalised; the caller analyses many at once.
        analysis: Kiwi's morphemes of `ko`.
        is_listed_verb: `ko` with 다 is a term of the sources too, so `ko` is its stem (빌리, 빌리다).
    """
    en = normalize(raw.en).replace("’", "'")
    if broken := _broken(ko, en):
        return broken
    mended = []
    if ko != raw.ko or en != raw.en:
        mended.append("normal form or white space")
    if not raw.source.startswith(_NOUN_SOURCES) and (is_listed_verb or _is_stem(analysis) or _is_bare_verb(ko, analysis)):
        ko, mended = ko + "다", [*mended, "verb stem without 다"]
        analysis = [*analysis, Morpheme("다", "EF", len(ko) - 1, len(ko))]
    elif _is_inflected(analysis):
        return Rule.INFLECTED
    elif _is_saying(ko, analysis, raw.source):
        return Rule.TOO_LONG
    if all(morpheme.tag == "NP" or not morpheme.tag.startswith(CONTENT_TAGS) for morpheme in analysis):
        return Rule.NO_CONTENT
    bare = _without_helpers(en, is_verb=analysis[-1].tag.startswith("E"))
    if bare != en:
        en, mended = bare, [*mended, "to, be or an article before the English word"]
    if raw.source == "cldr-scripts" and ko.endswith("문자") and not re.search(r"(?i)script|alphabet|writing", en):
        en, mended = f"{en} script", [*mended, "script added to the name of a script"]
    apart = kind_of_name(en, analysis) if raw.source == "wikipedia" else ""
    if not apart and (wrong := _wrong_translation(ko, en, analysis, raw.source)):
        return wrong
    return Clean(
        ko, en, raw.source, apart or raw.domain, korean_key(analysis), english_key(en), squeezed(ko), squeezed(en), apart, tuple(mended)
    )


def _broken(ko: str, en: str) -> Rule | None:
    """Return what is wrong with the signs of a pair, whatever they mean."""
    letters = [character for character in en if character.isalpha()]
    checks = {
        Rule.EMPTY: not ko or not en,
        Rule.NUMBERS: not any(character.isalpha() for character in ko) or not letters,
        Rule.IDENTICAL: squeezed(ko) == squeezed(en),
        Rule.LONE_JAMO: _LONE_JAMO.search(ko),
        Rule.NO_HANGUL: not _HANGUL.search(ko),
        Rule.NOT_LATIN: not all(unicodedata.name(letter, "").startswith("LATIN ") for letter in letters),
        Rule.ONE_CHARACTER: len(squeezed(ko)) < 2 or len(squeezed(en)) < 2,
        Rule.ODD_SIGNS: _ODD_ENGLISH.search(en),
        Rule.TOO_LONG: max(len(ko.split()), len(en.split())) > LONGEST_TERM_WORDS
        or len(ko) > LONGEST_KOREAN_CHARACTERS
        or len(en) > LONGEST_ENGLISH_CHARACTERS,
    }
    return next((rule for rule, is_so in checks.items() if is_so), None)


def _is_stem(analysis: Sequence[Morpheme]) -> bool:
    return analysis[-1].tag.startswith(_STEM_TAGS) and not any(morpheme.tag.startswith(("EP", "EF")) for morpheme in analysis)


def _is_bare_verb(ko: str, analysis: Sequence[Morpheme]) -> bool:
    """Tell 평가하 from 빙하: a stem in -하 or -되 that Kiwi, seeing no ending, took for nouns, against a noun that it knows."""
    return len(ko) > 1 and ko.endswith(("하", "되")) and not (len(analysis) == 1 and is_common(ko)) and analysis[-1].tag.startswith("NN")


def _is_inflected(analysis: Sequence[Morpheme]) -> bool:
    """Tell a form of running text from one that a dictionary lists: 했다, 시원한, 이번에 against 하다, 시원하다, 걷기."""
    last = analysis[-1]
    if any(morpheme.tag == "EP" for morpheme in analysis) or last.tag.startswith((*_COPULA_TAGS, "Z_CODA")):
        return True
    if last.tag.startswith("E"):
        return last.tag != "ETN" and last.form != "다"
    return last.tag.startswith("J") or last.tag == "IC"


def _is_saying(ko: str, analysis: Sequence[Morpheme], source: str) -> bool:
    """Tell a phrase from a term: 전화를 끊다, and in a word list that holds proverbs all of several words with grammar inside."""
    if any(morpheme.tag.startswith("J") for morpheme in analysis) and analysis[-1].tag.startswith("E"):
        return True
    return source == "soundblue-words" and " " in ko and any(morpheme.tag.startswith(("J", "E")) for morpheme in analysis[:-1])


def _without_helpers(en: str, *, is_verb: bool) -> str:
    """Return "to know" as "know" and, of a verb, "be absent" and "is bad" as "absent" and "bad"."""
    bare = re.sub(r"^([Tt]o|a|an|the)\s+(?=\w)", "", en)
    if is_verb:
        bare = re.sub(r"^([Bb]e|is|are|was|were|get)\s+(?=\w)", "", bare)
    return bare if len(bare) > 1 else en


def _wrong_translation(ko: str, en: str, analysis: Sequence[Morpheme], source: str) -> Rule | None:
    if source.startswith("cldr-") and re.search(r"(?i)pseudo-|\btest|\bunknown\b|no linguistic|\bworld\b|uncertain|\bcode\b", en):
        return Rule.NO_TERM
    content = [morpheme for morpheme in analysis if morpheme.tag.startswith(CONTENT_TAGS)]
    words = en.replace("-", " ").split()
    if source == "soundblue-words" and len(ko.split()) > 1 and len(words) == 1 and en.islower() and not analysis[-1].tag.startswith("E"):
        return Rule.RUN_TOGETHER
    is_cut = source == "soundblue-domains" and en.casefold() in _OWNERS and (len(content) > 1 or ko.endswith("서"))
    if is_cut:
        return Rule.HALF_TRANSLATED
    if source == "wikipedia":
        if (
            any(ord(character) > 127 for character in en)
            or {word.casefold() for word in words} & _FOREIGN_WORDS
            or en.startswith(_FOREIGN_STARTS)
        ):
            return Rule.FOREIGN
        if words[-1].casefold().strip(".") in _COMPANY_ENDINGS:
            return Rule.COMPANY
        if len(words) == 1 and len(content) >= 3 and len(en) < 9:
            return Rule.HALF_TRANSLATED
    return None
