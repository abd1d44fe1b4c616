"""A pruned model answers as the original does, to the last bit, wherever a text is cut into kept pieces."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from retrieval_ko.errors import DataError, ModelError, UsageError
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko.vocabulary.pruning import prune_model

PIECES = [
    "[PAD]",
    "[unused0]",
    "전세",
    "[UNK]",
    "보증금",
    "##을",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "돌려",
    "##받다",
    "보",
    "##증",
    "##금",
    "임차인",
    "은",
    "도서관",
]
KEPT = [piece for piece in PIECES if piece not in ("[unused0]", "임차인", "도서관")]
SAMPLE = "보증금을 돌려받다\n전세 보증금\n"
PADDED_ROWS = 3
"""Rows of the model that no token has."""

SIZE = {"vocab_size": len(PIECES) + PADDED_ROWS, "pad_token_id": 0}
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 40}
MODELS = {
    "bert": lambda: BertForMaskedLM(BertConfig(**SIZE, **BERT)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SIZE, **BERT, bos_token_id=6, eos_token_id=7)),
    "distilbert": lambda: DistilBertForMaskedLM(
        DistilBertConfig(**SIZE, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=40)
    ),
    "modernbert": lambda: ModernBertForMaskedLM(
        ModernBertConfig(**SIZE, **BERT, bos_token_id=6, eos_token_id=7, cls_token_id=6, sep_token_id=7, global_attn_every_n_layers=1)
    ),
    "untied bert": lambda: BertForMaskedLM(BertConfig(**SIZE, **BERT, tie_word_embeddings=False)),
}


def saved(model, folder):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    build_tokenizer(PIECES, 40).save_pretrained(folder)
    return folder


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "sample.txt").write_text(SAMPLE, encoding="utf-8")
    return tmp_path / "sample.txt"


@pytest.mark.parametrize("kind", MODELS)
def test_logits_of_kept_pieces_are_the_originals(kind, sample, tmp_path):
    torch.manual_seed(4)
    folder = saved(MODELS[kind](), tmp_path / "model")
    facts = prune_model(str(folder), [sample], tmp_path / "pruned")
    assert (facts["pieces"], facts["kept"]) == (len(PIECES), len(KEPT))
    assert facts["parameters"] < facts["parameters_before"]
    answers = []
    for place in (folder, tmp_path / "pruned"):
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModelForMaskedLM.from_pretrained(place).eval()
        batch = tokenizer(["보증금을 돌려받다", "전세 [MASK]"], padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        answers.append((tokenizer, batch, logits))
    (old_tokenizer, old, before), (new_tokenizer, new, after) = answers
    for old_row, new_row in zip(old["input_ids"], new["input_ids"], strict=True):
        assert old_tokenizer.convert_ids_to_tokens(old_row) == new_tokenizer.convert_ids_to_tokens(new_row)
    places = old_tokenizer.convert_tokens_to_ids(new_tokenizer.convert_ids_to_tokens(list(range(len(KEPT)))))
    assert after.shape[-1] == len(KEPT)
    assert torch.equal(after[old["attention_mask"] > 0], before[..., places][old["attention_mask"] > 0])


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(4)
    return saved(MODELS["bert"](), tmp_path / "model")


def test_special_tokens_and_single_characters_stay_and_ids_count_up(folder, sample, tmp_path):
    prune_model(str(folder), [sample], tmp_path / "pruned")
    vocabulary = json.loads((tmp_path / "pruned" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert sorted(vocabulary, key=vocabulary.get) == KEPT
    assert sorted(vocabulary.values()) == list(range(len(KEPT)))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "pruned")
    assert tokenizer.tokenize("보증") == ["보", "##증"]
    assert tokenizer.all_special_tokens == AutoTokenizer.from_pretrained(folder).all_special_tokens
    config = AutoModelForMaskedLM.from_pretrained(tmp_path / "pruned").config
    assert (config.vocab_size, config.pad_token_id) == (len(KEPT), tokenizer.pad_token_id)


def test_what_occurs_too_seldom_goes(folder, sample, tmp_path):
    assert prune_model(str(folder), [sample], tmp_path / "pruned", minimum=2)["kept"] == len(KEPT) - 3  # 전세, 돌려, ##받다 occur once


def test_the_head_stays_tied_to_the_embedding(folder, sample, tmp_path):
    prune_model(str(folder), [sample], tmp_path / "pruned")
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "pruned")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_model_without_its_head_is_refused(folder, sample, tmp_path):
    BertModel(BertConfig(**SIZE, **BERT)).save_pretrained(folder)
    with pytest.raises(ModelError, match="have no MLM head"):
        prune_model(str(folder), [sample], tmp_path / "pruned")


def test_a_tokenizer_that_does_not_fit_is_refused(folder, sample, tmp_path):
    build_tokenizer([*PIECES, *(f"더{number}" for number in range(PADDED_ROWS + 1))], 40).save_pretrained(folder)
    with pytest.raises(ModelError, match="has 21 tokens, its model 20 dimensions"):
        prune_model(str(folder), [sample], tmp_path / "pruned")


def test_only_word_piece_can_be_pruned(folder, sample, tmp_path):
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
    unigram = Tokenizer(models.Unigram([(token, 0.0) for token in [*SPECIAL_TOKENS, "▁가"]], unk_id=1))
    PreTrainedTokenizerFast(tokenizer_object=unigram, **names).save_pretrained(folder)
    with pytest.raises(ModelError, match="is Unigram; only WordPiece can be pruned"):
        prune_model(str(folder), [sample], tmp_path / "pruned")


def test_a_sample_without_text_and_a_folder_of_something_else_are_refused(folder, sample, tmp_path):
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"empty\.txt holds no text"):
        prune_model(str(folder), [tmp_path / "empty.txt"], tmp_path / "pruned")
    with pytest.raises(UsageError, match="holds other files"):
        prune_model(str(folder), [sample], tmp_path)


def test_a_missing_model_says_what_a_folder_holds(sample, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        prune_model(str(tmp_path / "nothing"), [sample], tmp_path / "pruned")
