"""Names of persons, places, works and species told from terms: their pairs are right, but hardly worth training on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from retrieval_ko.text import Morpheme, similar_morphemes

NAMES = "names"
ABBREVIATIONS = "abbreviations"

_COMMON_NOUN_TAGS = ("NNG", "XSN", "XPN", "XR", "NR")
_LATIN_ENDINGS = (
    *("us", "ceps", "um", "is", "ii", "ae", "ea", "ia", "ensis", "oides"),
    *("ata", "ica", "ana", "ina", "ula", "era", "osa", "inus"),
)
_ABSTRACT_ENDINGS = (
    *("ism", "ology", "tion", "sion", "ment", "ity", "ness", "graphy", "nomy", "ship"),
    *("ance", "ence", "ing", "sis", "itis", "cy"),
)
_TAXON = re.compile(r".+(idae|inae|aceae|ales|oidea|ineae|phyta|mycetes)$")
_SMALL_WORDS = frozenset(
    {"of", "the", "and", "in", "for", "to", "a", "an", "on", "at", "by", "with", "de", "la", "le", "di", "von", "van", "&"}
)


@cache
def is_common(form: str) -> bool:
    """Tell whether Kiwi's language model was trained on a morpheme: it knows neighbours of it."""
    return bool(similar_morphemes(form, 1))


def kind_of_name(en: str, analysis: Sequence[Morpheme]) -> str:
    """Return "names", "abbreviations", or "" for a term, judged by the capitals of an encyclopaedia's English side.

    A title's first word has a capital whatever it means. So a single capitalised word is a term only where it ends like an
    abstract noun (-ism, -tion, …) and Kiwi takes the Korean side for common nouns. "Gap year" is a term; "Red Cabbage",
    everything with a digit or a dot inside, and what Kiwi takes for one proper noun as a whole (김동찬 – Kim dong chan) is a name.
    """
    if not any(character.islower() for character in en):
        return ABBREVIATIONS
    if any(morpheme.tag == "SN" for morpheme in analysis) or any(character.isdigit() or character == "." for character in en):
        return NAMES
    words = [word for word in en.split() if word.casefold() not in _SMALL_WORDS] or en.split()
    capitals = [word for word in words if any(character.isupper() for character in word)]
    if not capitals:
        return ""
    if _TAXON.match(words[-1].casefold()) or (len(words) > 1 and words[-1].casefold().endswith(_LATIN_ENDINGS)):
        return NAMES
    if len(words) == 1:
        is_term = en[1:].islower() and en.endswith(_ABSTRACT_ENDINGS) and is_of_common_nouns(analysis)
        return "" if is_term else NAMES
    if len(analysis) == 1 and analysis[0].tag == "NNP":
        return NAMES
    return "" if capitals == words[:1] and words[0][1:].islower() else NAMES


def is_of_common_nouns(analysis: Sequence[Morpheme]) -> bool:
    """Tell whether every morpheme is a common noun or its affix."""
    return all(morpheme.tag.startswith(_COMMON_NOUN_TAGS) for morpheme in analysis)
