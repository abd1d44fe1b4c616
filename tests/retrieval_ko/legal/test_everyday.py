from collections import Counter

import pytest

from retrieval_ko.legal.everyday import everyday_pairs, laws_of_articles
from retrieval_ko.legal.resolver import Resolver
from retrieval_ko.records import Passage

LAW = {"law_name": "도서 대여법", "parent_id": "000012"}
ARTICLES = [
    Passage(_id=f"LAW_000012_{article}", text="글", metadata={**LAW, "article": article})
    for article in (f"제{number}조" for number in range(1, 9))
]


def pairs_of(*texts):
    resolver = Resolver(laws_of_articles(ARTICLES))
    counts = Counter()
    passages = [Passage(_id=f"guide-{number}", text=text) for number, text in enumerate(texts)]
    found = everyday_pairs(passages, resolver, {passage.id for passage in ARTICLES}, counts)
    return [(pair.query_text, pair.positive_passages) for pair in found], counts


def test_a_sentence_is_paired_with_the_articles_it_refers_to():
    sentence = "※ 책을 늦게 돌려주면 돈을 내야 합니다(「도서 대여법」 제3조제1항 및 제4조)."
    text = f"책을 빌리는 데는 돈이 들지 않습니다.\n{sentence} 잃어버려도 마찬가지입니다."
    found, counts = pairs_of(text)
    assert found == [("책을 늦게 돌려주면 돈을 내야 합니다", ["LAW_000012_제3조", "LAW_000012_제4조"])]
    assert counts == {"paired": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("책을 늦게 돌려주면 돈을 내야 합니다(「도서 대여법」 제99조).", "no article that is there"),
        ("책을 늦게 돌려주면 돈을 내야 합니다(「없는 법」 제3조).", "no article that is there"),
        ("책을 늦게 돌려주면 돈을 내야 합니다(「도서 대여법」 제1조부터 제8조까지).", "more than 5 articles"),
        ("늦으면 냅니다(「도서 대여법」 제3조).", "too short or too long"),
    ],
)
def test_what_makes_no_pair_is_counted(text, reason):
    assert pairs_of(text) == ([], {reason: 1})


def test_a_sentence_that_guides_repeat_is_one_pair():
    text = "책을 늦게 돌려주면 돈을 내야 합니다(「도서 대여법」 제3조)."
    found, counts = pairs_of(text, text)
    assert len(found) == 1
    assert counts["the same sentence again"] == 1


def test_a_sentence_without_a_reference_is_no_pair_and_not_counted():
    assert pairs_of("책을 늦게 돌려주면 돈을 내야 합니다(2020년 기준).") == ([], {})
