"""Groups of queries that behave differently: their answer is known from training, or named by the query; its language; its marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from retrieval_ko.collection import Collection

Groups = dict[str, dict[str, list[str]]]
"""grouping → group → query ids, in the order of the judgements."""

_ARTICLE = re.compile(r"^(?P<law>.+?)\s*(?P<article>제\s?[0-9]+조(?:의\s?[0-9]+)?)")
_SET_ASIDE = re.compile(r"[\s\u00b7\u119e\u2027\u318d\u30fb「」『』]+")
_HANGUL = re.compile("[가-힣ㄱ-ㅣ]")
_LATIN = re.compile("[A-Za-z]")


def train_split_of(split: str) -> str:
    """Return the training part that belongs to a split: train of dev, article-train of article-dev."""
    scheme, dash, _ = split.rpartition("-")
    return f"{scheme}{dash}train"


def query_groups(collection: Collection, split: str, marks: Sequence[str] = ()) -> Groups:
    """Return the queries of a split by group.

    answer    seen: a training query has one of the relevant passages too; unseen: none has. Where there is a training part.
    naming    names its answer: the query holds the title of a relevant passage, of an article its law and number; or: does not name it.
    language  of the query's letters: korean, mixed, english, other.

    Args:
        collection: where they are from.
        split: whose queries.
        marks: further groupings: keys of the queries' metadata, e.g. "kind".

    Raises:
        DataError: there is no such split.
    """
    relevant = collection.relevant(split)
    titles = _titles(collection)
    groupings: dict[str, dict[str, str]] = {}
    train = train_split_of(split)
    if train in collection.judgements and train != split:
        seen = {passage for passages in collection.relevant(train).values() for passage in passages}
        groupings["answer"] = {query: "seen" if seen.intersection(passages) else "unseen" for query, passages in relevant.items()}
    groupings["naming"] = {
        query: "names its answer" if _names(collection.queries[query].text, (titles[p] for p in passages)) else "does not name it"
        for query, passages in relevant.items()
    }
    groupings["language"] = {query: language_of(collection.queries[query].text) for query in relevant}
    for mark in marks:
        groupings[mark] = {query: str(collection.queries[query].metadata.get(mark, "unmarked")) for query in relevant}
    return {name: _inverted(of_query) for name, of_query in groupings.items()}


def language_of(text: str) -> str:
    """Return the language of a text's letters: korean, mixed (Hangul and Latin), english (Latin alone), other."""
    match bool(_HANGUL.search(text)), bool(_LATIN.search(text)):
        case True, True:
            return "mixed"
        case True, False:
            return "korean"
        case False, True:
            return "english"
    return "other"


def names_title(query: str, title: str) -> bool:
    """Tell whether a query holds a title; of an article's title, the law's name and the article's number are enough.

    White space, middle dots and the brackets of titles don't count. 제3조 is not named by 제3조의2, nor by 제33조.
    """
    asked = _squeezed(query)
    if article := _ARTICLE.match(title):
        number = re.escape(_squeezed(article["article"]))
        return _squeezed(article["law"]) in asked and re.search(rf"{number}(?!의?[0-9])", asked) is not None
    wanted = _squeezed(title)
    return len(wanted) > 1 and wanted in asked


def group_means(groups: Groups, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the mean of per-query values by group: grouping → group → mean."""
    return {
        name: {group: float(np.mean([values[query] for query in queries])) for group, queries in members.items()}
        for name, members in groups.items()
    }


def _names(query: str, titles: Iterable[str]) -> bool:
    return any(names_title(query, title) for title in titles)


def _titles(collection: Collection) -> dict[str, str]:
    if collection.judged == "passage":
        return {key: passage.title for key, passage in collection.passages.items()}
    titles: dict[str, str] = {}
    for passage in collection.passages.values():
        titles.setdefault(passage.metadata["parent_id"], passage.title)
    return titles


def _squeezed(text: str) -> str:
    return _SET_ASIDE.sub("", text).lower()


def _inverted(of_query: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for query, group in of_query.items():
        groups.setdefault(group, []).append(query)
    return dict(sorted(groups.items()))
