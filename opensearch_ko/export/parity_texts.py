"""The texts that exports are compared on: everyday Korean, and what breaks tokenizers and graphs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

PROBE_TEXT = "전세 보증금을 돌려받지 못하면 어디에 신청하나요? (OpenSearch 3.6)"
"""One sentence with Hangul, Latin letters, digits and punctuation, whose weights travel with the model."""

_LONG = "서울특별시 강남구에 있는 임차인이 보증금을 돌려받지 못한 채 이사하면 임차권등기명령을 신청할 수 있다. "
_MIXED = "OpenSearch 3.6의 neural_sparse 쿼리는 token 가중치 0.75를 곱한다; 大法院 2019다12345 판결 ①항 👍 "

_HAND_PICKED = (
    "전세 보증금을 돌려받지 못했을 때 임차권등기명령을 신청하는 절차",
    "국립중앙박물관은 매주 월요일에 쉽니다.",
    "헌법재판소는 大韓民國 憲法 第10條의 人間의 尊嚴을 확인하였다.",
    "OpenSearch 3.6에서 neural_sparse 쿼리로 한국어 검색 latency를 줄이는 법 (k-NN, BM25)",
    "오늘 저녁은 떡볶이 🍲 어때? 👍🏽 👨‍👩‍👧 진짜 좋아 ㅋㅋㅋ ㅠㅠ",
    unicodedata.normalize("NFD", "한글이 자모로 풀린 글도 같은 글이다"),
    "ＡＢＣ１２３ 전각 문자와 ① ㈜ ℃ ½",
    "제750조(불법행위의 내용) ① 고의 또는 과실로 인한 위법행위로 타인에게 손해를 가한 자는 …",
    "https://example.com/검색?q=형태소&lang=ko  user@example.com  #해시태그",
    "ㄱㄴㄷ 뷁 쀍 햏 걍 됬다 안됀다 띄어쓰기없이쓴아주긴문장도있을수있습니다",
    "a",
    "가",
    "!!! ... ???",
    "줄이\n바뀌고\t탭이 있고\u00a0특수한\u200b공백이 있다",
    "",
    " ",
    "\n\n",
    "[CLS] 전세 [SEP] 보증금 [MASK] [PAD] [UNK]",
    "<s> 전세 </s> <mask> <pad> <unk>",
    "##을 ##를 ## #",
    "日本語の文と русский текст, العربية, ไทย, Ελληνικά",
    "café naïve Übergröße İstanbul ﬁ ﬂ",
    "1 12 123 1,234,567원 3.14159 -0.5% 2026-11-21 010-1234-5678",
    "\ufeff바이트 순서 표시로 시작하는 글",
    "제어 문자\x00와 \x07 그리고 \x1f 가 섞인 글",
    "가" * 300,
    "ㅋ" * 60,
    "0" * 120,
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "def search(query: str) -> list[Hit]: return [hit for hit in hits if hit.score > 0]",
    '{"query": {"neural_sparse": {"sparse": {"query_text": "전세", "model_id": "x"}}}}',
    "각하다 갂 갃 간 갅 갆 갇 갈 갉 갊 갋 갌",
    "豈更車賈滑串句龜 兩 凉",
    "🇰🇷🏳️‍🌈👩🏻‍💻❤️‍🔥",
    (_LONG * 100)[:5000],
    (_MIXED * 100)[:5000],
    unicodedata.normalize("NFD", _LONG * 4),
)

_TOPICS = (
    ("전세 보증금", "임차인", "반환받다", "jeonse deposit", "傳貰 保證金"),
    ("퇴직금", "근로자", "청구하다", "severance pay", "退職金"),
    ("층간 소음", "이웃", "신고하다", "noise complaint", "騷音"),
    ("위자료", "배우자", "소송하다", "alimony", "慰藉料"),
    ("여권", "여행자", "재발급하다", "passport", "旅券"),
    ("건강 보험", "가입자", "납부하다", "health insurance", "健康保險"),
    ("교통사고", "운전자", "합의하다", "car accident", "交通事故"),
    ("상속 포기", "상속인", "신고하다", "renunciation of inheritance", "相續抛棄"),
    ("김치찌개", "요리사", "끓이다", "kimchi stew", "김치"),
    ("형태소 분석", "개발자", "구현하다", "morphological analysis", "形態素 分析"),
)
_SENTENCES = (
    "{0}",
    "{0} {1}",
    "{1}이(가) {0}에 대해 {2}",
    "{0}은(는) 누가 어떻게 하나요?",
    "{0} 관련 {3} 절차를 알려 주세요.",
    "{1}의 {0}({4})에 관한 {3}",
    "제{n}조 {1}은 {0}을 {2}.",
    "{0}😀 {2} ㅠㅠ {1}!!",
    "{3} FAQ: {0}, {1}",
    "{n}만 원짜리 {0} / {1} ({n}%)",
)
_TURNS = ("NFD", "no spaces", "upper", "wide spaces", "full width")


def _made() -> Iterator[str]:
    for number, topic in enumerate(_TOPICS):
        for sentence in _SENTENCES:
            yield sentence.format(*topic, n=number * 37 + 3)
        plain = _SENTENCES[4].format(*topic)
        for turn in _TURNS:
            yield _turned(plain, turn)
    words = " ".join(" ".join(topic[:3]) for topic in _TOPICS).split()
    for length in (*range(1, 17), 24, 32, 48, 64):
        yield " ".join((words * 3)[:length])


def _turned(text: str, turn: str) -> str:
    if turn == "NFD":
        return unicodedata.normalize("NFD", text)
    if turn == "no spaces":
        return text.replace(" ", "")
    if turn == "upper":
        return text.upper()
    if turn == "wide spaces":
        return text.replace(" ", "\u3000 ")
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


PARITY_TEXTS: tuple[str, ...] = tuple(dict.fromkeys((PROBE_TEXT, *_HAND_PICKED, *_made())))
"""More than 200: Hangul, hanja, Latin mix, emoji with joiners, NFD, full width, law, addresses, code, jamo, control characters,
names of special tokens, punctuation, nothing, one character, every length, 5,000 characters."""
