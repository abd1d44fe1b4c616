"""Small bi-encoders made on the spot: a vocabulary of characters and words, bodies of 32 dimensions."""

import pytest

from dense_ko.settings import DenseTrainSettings
from retrieval_ko.collection import Collection
from retrieval_ko.records import Passage, Query

PASSAGES = {
    "p1": ("전세 보증금", "임대인이 전세 보증금을 돌려주지 않으면 임차권등기명령을 신청한다."),
    "p2": ("법인세 신고", "내국법인은 사업연도가 끝난 날부터 세 달 안에 법인세를 신고한다."),
    "p3": ("최저임금", "사용자는 근로자에게 최저임금보다 적은 임금을 주지 못한다."),
    "p4": ("상속 포기", "상속인은 상속을 안 날부터 세 달 안에 포기할 수 있다."),
    "p5": ("도로 점용", "도로를 점용하려는 자는 관리청의 허가를 받는다."),
}
QUESTIONS = {"p1": "전세 보증금 신청", "p2": "법인세 신고 사업연도", "p3": "최저임금 근로자", "p4": "상속을 포기", "p5": "도로 점용 허가"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ("전세", "보증금", "임대인", "신청", "법인세", "신고", "사업연도", "최저임금", "근로자", "상속", "포기", "도로", "점용", "허가")
SHAPE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "initializer_range": 0.3}
POSITIONS = 64


def tokenizer_of(texts):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast  # late: tests of settings need no torch

    characters = sorted({char for text in texts for char in text if not char.isspace()} | set("abcdefghijklmnopqrstuvwxyzIRQG:.,"))
    pieces = [*SPECIAL, *characters, *(f"##{char}" for char in characters), *WORDS, "##보증금"]
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=POSITIONS, **names)


@pytest.fixture(scope="session")
def collection():
    passages = {key: Passage(id=key, title=title, text=text) for key, (title, text) in PASSAGES.items()}
    queries = {f"q{key}": Query(id=f"q{key}", text=text) for key, text in QUESTIONS.items()}
    return Collection("tiny", passages, queries, {"train": {f"q{key}": {key: 1} for key in PASSAGES}}, [])


@pytest.fixture(scope="session")
def texts(collection):
    """Passages, and texts that break encoders: empty, one character, over the limit."""
    return [*(passage.passage_text for passage in collection.passages.values()), "", "가", "보증금 신청 " * 60]


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """Folders to start from: `vocabulary`, a transformers body `body` and a masked language model `pretrained` over it."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertModel

    root = tmp_path_factory.mktemp("bases")
    pieces = tokenizer_of([part for passage in PASSAGES.values() for part in passage])
    pieces.save_pretrained(root / "vocabulary")
    torch.manual_seed(3)
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=POSITIONS, **SHAPE)
    for name, model in (("body", BertModel(config)), ("pretrained", BertForMaskedLM(config))):
        model.save_pretrained(root / name)
        pieces.save_pretrained(root / name)
    return root


@pytest.fixture(scope="session")
def settings_of(bases):
    """Settings of a run with the model that is asked for; without a base it is from scratch."""

    def of(**model):
        scratch = (
            {} if {"base", "pretrained"} & set(model) else {"vocabulary": bases / "vocabulary", "layers": 1, "dimensions": 32, "heads": 2}
        )
        return DenseTrainSettings.model_validate(
            {"name": "tiny", "model": {"max_query_tokens": 24, "max_passage_tokens": 48} | scratch | model}
        )

    return of


@pytest.fixture(scope="session")
def build(settings_of, collection):
    """Build the encoder that is asked for."""
    from dense_ko.building import build_bi_encoder

    return lambda **model: build_bi_encoder(settings_of(**model), collection)


@pytest.fixture(scope="session")
def saved(build, tmp_path_factory):
    """Folders of saved models: `mini` from scratch, with E5's template; `static` from scratch."""
    root = tmp_path_factory.mktemp("saved")
    build(template="e5").save(root / "mini")
    build(layers=0).save(root / "static")
    return root
