"""The gate: PyTorch's weights and the exported graph's, token by token, on the texts that break exports."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from opensearch_ko.export.tokenizer import spellings
from retrieval_ko.errors import ModelError
from sparse_ko.model import SparseEncoder

TOLERANCE = 1e-4
"""Largest difference of a weight that is let through; float32 over other batch shapes moves weights by about 1e-6."""

_LONG = "서울특별시 강남구에 있는 임차인이 보증금을 돌려받지 못한 채 이사하면 임차권등기명령을 신청할 수 있다. "

PARITY_TEXTS = (
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
    (_LONG * 100)[:5000],
)
"""Hangul, hanja, Latin mix, emoji with joiners, NFD, full width, law, addresses, jamo, punctuation, empty, 5,000 characters."""


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    texts: int
    largest_difference: float
    tolerance: float = TOLERANCE


def check_parity(
    encoder: SparseEncoder, traced: torch.jit.ScriptModule, tokenizer_json: str, texts: tuple[str, ...] = PARITY_TEXTS
) -> Parity:
    """Compare the encoder with the graph, run as the node runs it: its own tokenizer file, one text at a time.

    Raises:
        ModelError: a weight differs by more than the tolerance; names the text, the token and both weights.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    names = spellings(tokenizer)
    expected = encoder.to_tokens(encoder.encode_document(list(texts)))
    largest = 0.0
    for text, weights in zip(texts, expected, strict=True):
        found = _answer(traced, tokenizer, names, text)
        for token in weights.keys() | found.keys():
            difference = abs(weights.get(token, 0.0) - found.get(token, 0.0))
            if not difference <= TOLERANCE:
                raise ModelError(
                    f"The exported graph is not the model: for {text[:40]!r} the token {token!r} weighs {found.get(token, 0.0):.6f} "
                    f"instead of {weights.get(token, 0.0):.6f} (tolerance {TOLERANCE:g}). Nothing was written.",
                    "Please report it with the model's config.json; `pip install -c constraints.txt` gives the tested library versions.",
                )
            largest = max(largest, difference)
    return Parity(len(texts), largest)


def _answer(traced: torch.jit.ScriptModule, tokenizer: Tokenizer, names: list[str], text: str) -> dict[str, float]:
    encoding = tokenizer.encode(text)
    features = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.tensor([encoding.attention_mask])}
    with torch.no_grad():
        row = traced(features)["output"][0]
    return {names[token]: float(row[token]) for token in row.nonzero().flatten().tolist()}
