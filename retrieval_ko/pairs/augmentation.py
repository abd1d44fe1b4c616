"""More training pairs from the ones there are: queries in other words, passages with less around them. Training only."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from retrieval_ko.errors import UsageError
from retrieval_ko.pairs.crosslingual import crosslingual_variants
from retrieval_ko.pairs.marks import Span, is_protected, marks, protected_spans
from retrieval_ko.records import Passage, TrainingPair
from retrieval_ko.synonyms.dictionary import SynonymDictionary
from retrieval_ko.text import Morpheme, morphemes, normalize

TRAINING_SPLIT = "train"
SHARE_OF_SENTENCES_KEPT = 0.6
"""A passage variant keeps at least this share of its sentences."""

_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"(?<=[.?!。])\s+|\n+")
_DROPPED_PARTICLES = frozenset({"이", "가", "을", "를", "은", "는", "의"})
_PHRASE_PARTICLES = ("JKS", "JKO", "JKB", "JX")
_NEGATIONS = frozenset({"안", "못", "않", "말", "없", "아니", "못하", "모르"})
_SPARE_ADVERBS = frozenset(
    {
        "너무",
        "정말",
        "정말로",
        "진짜",
        "혹시",
        "그냥",
        "좀",
        "조금",
        "매우",
        "아주",
        "굉장히",
        "무척",
        "갑자기",
        "자꾸",
        "막",
        "도대체",
        "대체",
    }
    | {"일단", "이제", "아마", "과연", "참", "꽤", "상당히", "특히", "실제로", "계속", "맨날"}
)
"""Adverbs that colour a question; 안, 더, 다시, 언제, 같이 and the like change what is asked."""
_LIMITING_PARTICLES = frozenset({"만", "까지", "부터", "마다", "밖에", "보다", "처럼", "조차", "이외"})
_STEM_OF_A_NOUN = ("NN", "XR", "XSN", "XPN", "SL", "SH")

Operation = Callable[["_Query"], Iterable[str]]


class _Word:
    """A stretch between white space with its morphemes."""

    def __init__(self, text: str, start: int, end: int, analysis: Sequence[Morpheme], spans: Sequence[Span]) -> None:
        self.text, self.start, self.end = text[start:end], start, end
        self.morphemes = [morpheme for morpheme in analysis if start <= morpheme.start < end]
        self.is_protected = is_protected(start, end, spans)
        self.is_whole = bool(self.morphemes) and self.morphemes[-1].end <= end
        self.tags = tuple(morpheme.tag.split("-")[0] for morpheme in self.morphemes)
        self.forms = tuple(morpheme.form for morpheme in self.morphemes)

    @property
    def is_nominal(self) -> bool:
        """A noun, with a particle or without: nothing in it bends."""
        return bool(self.tags) and self.tags[0].startswith(_STEM_OF_A_NOUN) and not any(tag[0] in "EV" for tag in self.tags)

    @property
    def is_negative(self) -> bool:
        return bool(_NEGATIONS & set(self.forms))

    @property
    def last(self) -> Morpheme:
        return self.morphemes[-1]

    @property
    def ends_in_particle(self) -> bool:
        """The word ends in a particle that stands there as it is written, with a noun before it."""
        return self.is_nominal and len(self.tags) > 1 and self.tags[-1].startswith("J") and self.text.endswith(self.last.form)


class _Query:
    def __init__(self, text: str) -> None:
        self.text = text
        analysis = morphemes(text)
        spans = protected_spans(text, analysis)
        self.words = [_Word(text, *match.span(), analysis, spans) for match in _WORD.finditer(text)]

    def with_words(self, words: Iterable[str]) -> str:
        return " ".join(word for word in words if word)


def training_only(split: str) -> None:
    """Refuse every split but the training split: an augmented test measures something else.

    Raises:
        UsageError: `split` is not `train`.
    """
    if split != TRAINING_SPLIT:
        raise UsageError(
            f"Augmentation is for the split '{TRAINING_SPLIT}' only, not for '{split}', whose figures changed queries would spoil.",
            f"Leave --split out, or name {TRAINING_SPLIT}.",
        )


def simple_variants(text: str, count: int, seed: str) -> list[str]:
    """Return up to `count` variants of a query, each by one operation on whole morphemes.

    A particle is dropped (보증금을 → 보증금), the query becomes keywords (해지하려면 → 해지), a word that is not essential goes, or two
    phrases that end in particles change places. Numbers, dates, article numbers and law names are never part of it, nor negations.

    Args:
        text: the query.
        count: how many at most; a smaller count gives a beginning of the same list.
        seed: decides the draw; the same for the same query whatever comes before it.
    """
    text = normalize(text)
    query = _Query(text)
    draw = random.Random(seed)
    pools = []
    for operation in (_without_a_particle, _as_keywords, _without_a_word, _with_phrases_swapped):
        pool = [variant for variant in operation(query) if _letters(variant) != _letters(text) and marks(variant) == marks(text)]
        draw.shuffle(pool)
        pools.append(pool)
    draw.shuffle(pools)
    variants: list[str] = []
    while any(pools) and len(variants) < count:
        for pool in pools:
            if pool and len(variants) < count and (variant := pool.pop()) not in variants:
                variants.append(variant)
    return variants


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _without_a_particle(query: _Query) -> Iterator[str]:
    for place, word in enumerate(query.words):
        is_droppable = word.ends_in_particle and word.last.form in _DROPPED_PARTICLES and word.tags[-1] != "JKC"
        is_needed = query.words[place + 1 : place + 2] and query.words[place + 1].text.startswith("대신")
        if is_droppable and not is_needed and not word.is_protected and not word.tags[-2].startswith("J"):
            bare = word.text[: -len(word.last.form)]
            yield query.with_words(bare if at == place else other.text for at, other in enumerate(query.words))


def _as_keywords(query: _Query) -> Iterator[str]:
    """Take particles and endings off wherever that leaves a word that can stand alone."""
    if sum(word.is_nominal for word in query.words) < 2:
        return
    keywords: list[str] = []
    for place, word in enumerate(query.words):
        must_stay = word.is_protected or word.is_negative or _negated(query, place)
        if must_stay or _is_bound_to_next(word, query.words[place + 1 : place + 2]):
            keywords.append(word.text)
        elif word.tags[:1] == ("VX",) and keywords and _is_noun_with_ending(query.words[place - 1]):
            keywords.append("")
        else:
            keywords.append(_keyword(word))
    if sum(map(bool, keywords)) >= 2:
        yield query.with_words(keywords)


def _negated(query: _Query, place: int) -> bool:
    before = query.words[place - 1] if place else None
    after = query.words[place + 1] if place + 1 < len(query.words) else None
    return bool((before and before.is_negative) or (after and after.is_negative))


def _is_bound_to_next(word: _Word, following: Sequence[_Word]) -> bool:
    """Tell 임신한 before 줄, and 현금으로 before 산: without its ending or particle the next word would hang in the air."""
    if not following:
        return False
    return following[0].tags[:1] == ("NNB",) or (word.ends_in_particle and following[0].tags[-1:] == ("ETM",))


def _is_noun_with_ending(word: _Word) -> bool:
    """Tell 해지하려면 and 설치되어, of which a noun stays, from 나가려면."""
    verb = next((at for at, tag in enumerate(word.tags) if tag in {"XSV", "XSA"}), 0)
    return verb > 0 and all(tag.startswith(_STEM_OF_A_NOUN) for tag in word.tags[:verb])


def _keyword(word: _Word) -> str:
    if _is_noun_with_ending(word):
        verb = next(at for at, tag in enumerate(word.tags) if tag in {"XSV", "XSA"})
        return word.text[: word.morphemes[verb - 1].end - word.start]
    if not word.is_nominal or _LIMITING_PARTICLES & set(word.forms[1:]):
        return word.text
    length = len(word.tags)
    while length > 1 and word.tags[length - 1].startswith(("J", "SF", "SP")):
        length -= 1
    return word.text[: word.morphemes[length - 1].end - word.start]


def _without_a_word(query: _Query) -> Iterator[str]:
    """Drop an adverb that only colours the question, where three words and more stay."""
    if len(query.words) < 4:
        return
    for place, word in enumerate(query.words[:-1]):
        if word.tags == ("MAG",) and word.text in _SPARE_ADVERBS and not word.is_protected:
            yield query.with_words(other.text for at, other in enumerate(query.words) if at != place)


def _with_phrases_swapped(query: _Query) -> Iterator[str]:
    """Let two neighbouring phrases with particles change places: 임대인이 보증금을 → 보증금을 임대인이.

    Each is one noun with its particle, and nothing that could belong to the first one alone stands before them.
    """
    words = query.words
    for place in range(len(words) - 2):
        first, second = words[place], words[place + 1]
        is_free = place == 0 or words[place - 1].tags[-1:] in {("EC",), ("EF",), ("SF",), ("SP",)}
        if is_free and all(_is_phrase(word) for word in (first, second)) and first.tags[-1] != second.tags[-1]:
            swapped = [*words[:place], second, first, *words[place + 2 :]]
            yield query.with_words(word.text for word in swapped)


def _is_phrase(word: _Word) -> bool:
    return word.ends_in_particle and not word.is_protected and word.tags[-1] in _PHRASE_PARTICLES


def passage_variants(passage: Passage, count: int, seed: str) -> list[Passage]:
    """Return up to `count` variants of a passage: without its title, or with fewer of its sentences. Ids end in ~p1, ~p2.

    A title or a sentence that holds a number is never left out, so article numbers, amounts and dates stay as they are.
    """
    sentences = [sentence for sentence in _SENTENCE_END.split(passage.text) if sentence.strip()]
    droppable = [place for place, sentence in enumerate(sentences) if not marks(sentence)]
    texts: list[tuple[str, str]] = []
    if passage.title and not marks(passage.title):
        texts.append(("", passage.text))
    draw = random.Random(seed)
    most = len(sentences) - max(2, round(len(sentences) * SHARE_OF_SENTENCES_KEPT + 0.5))
    for dropped in range(1, most + 1):
        if dropped <= len(droppable):
            out = set(draw.sample(droppable, dropped))
            texts.append((passage.title, " ".join(sentence for place, sentence in enumerate(sentences) if place not in out)))
    draw.shuffle(texts)
    return [
        passage.model_copy(
            update={
                "id": f"{passage.id}~p{number}",
                "title": title,
                "text": text,
                "metadata": {**passage.metadata, "augmented": "simple", "variant_of": passage.id},
            }
        )
        for number, (title, text) in enumerate(texts[:count], start=1)
    ]


def augmented_pairs(
    pairs: Iterable[TrainingPair],
    split: str,
    *,
    dictionary: SynonymDictionary | None = None,
    crosslingual: int = 0,
    simple: int = 0,
    seed: int = 0,
) -> Iterator[TrainingPair]:
    """Yield the variants of training pairs, never the pairs themselves. Ids end in ~x1, ~x2; `meta.augmented` says how.

    A query's variants depend on the seed, its id and its text alone, not on its place or on other queries.

    Args:
        pairs: queries with their passages; positives and negatives are kept.
        split: what `pairs` are; everything but `train` is refused.
        dictionary: the training list of synonyms; None: no cross-lingual variants.
        crosslingual: how many cross-lingual variants a query gets at most.
        simple: how many simple variants a query gets at most; 0, 1 and 2 are common.
        seed: decides what is drawn.

    Raises:
        UsageError: `split` is not `train`.
    """
    training_only(split)
    return _augmented(pairs, dictionary, crosslingual, simple, seed)


def _augmented(
    pairs: Iterable[TrainingPair], dictionary: SynonymDictionary | None, crosslingual: int, simple: int, seed: int
) -> Iterator[TrainingPair]:
    for pair in pairs:
        text = normalize(pair.query_text)
        drawn: dict[str, str] = {}
        if dictionary and crosslingual:
            variants = crosslingual_variants(text, dictionary, crosslingual, seed_of(seed, "crosslingual", pair.query_id, text))
            drawn |= dict.fromkeys(variants, "crosslingual")
        if simple:
            drawn |= dict.fromkeys(simple_variants(text, simple, seed_of(seed, "simple", pair.query_id, text)), "simple")
        for number, (variant, kind) in enumerate(drawn.items(), start=1):
            yield pair.model_copy(
                update={
                    "query_id": f"{pair.query_id}~x{number}" if pair.query_id else "",
                    "query_text": variant,
                    "meta": {**pair.meta, "augmented": kind},
                }
            )


def seed_of(seed: int, kind: str, identity: str, text: str = "") -> str:
    """Return what seeds the draw for one query or passage: its id and its text, not its place."""
    return hashlib.sha256("\0".join((str(seed), kind, identity, text)).encode()).hexdigest()
