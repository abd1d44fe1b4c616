"""The same sources give the same vocabulary, byte by byte, whatever the number of workers; its card says what it was learnt from."""

import json

import pytest
from transformers import AutoTokenizer

from retrieval_ko.collection import sample_folder
from retrieval_ko.errors import DataError, ModelError, UsageError
from retrieval_ko.files import folder_sha256, sha256, write_jsonl
from sparse_ko.vocabulary import build_tokenizer, counting, load_tokenizer
from sparse_ko.vocabulary.counting import count_pieces
from sparse_ko.vocabulary.learning import choose_pieces, common_syllables
from sparse_ko.vocabulary.sources import read_texts, text_files
from sparse_ko.vocabulary.tokenizer import SPECIAL_TOKENS
from sparse_ko.vocabulary.writing import train_vocabulary


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    source = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = [{"text": text} for text in list(read_texts(text_files([sample_folder()], "passages")))[:60]]
    write_jsonl(source, rows)
    return source


@pytest.fixture(scope="module")
def written(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabularies") / "one"
    return folder, train_vocabulary([texts], 8000, folder)


def test_two_workers_count_what_one_counts(texts, monkeypatch):
    monkeypatch.setattr(counting, "SPAWN_CHARACTERS", 1_000)
    monkeypatch.setattr(counting, "BATCH_CHARACTERS", 2_000)
    some = list(read_texts(text_files([texts])))[:30]
    assert count_pieces(some, workers=2) == count_pieces(some, workers=1)


def test_learning_again_writes_the_same_bytes(texts, written, tmp_path):
    train_vocabulary([texts], 8000, tmp_path / "again")
    assert folder_sha256(tmp_path / "again") == folder_sha256(written[0])


def test_the_card_adds_up(texts, written):
    folder, card = written
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")) == card.model_dump()
    assert card.size == len(vocabulary) == card.special + card.single_characters + card.words + card.continuations
    assert card.sources == {"texts.jsonl": sha256(texts)}
    assert card.texts == 60
    assert card.words == sum(len(piece) > 1 and not piece.startswith("##") for piece in vocabulary) - len(SPECIAL_TOKENS)


def test_transformers_and_this_package_load_the_same_tokenizer(written):
    folder, _ = written
    text = "전세 보증금을 돌려받지 못한 임차인"
    ours, theirs = load_tokenizer(folder, 16), AutoTokenizer.from_pretrained(folder)
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]
    assert ours.all_special_ids == theirs.all_special_ids
    assert len(ours(text * 20, truncation=True)["input_ids"]) == 16


def test_another_kind_of_folder_is_not_replaced(texts, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds other files \(notes.txt\)"):
        train_vocabulary([texts], 8000, tmp_path)


@pytest.mark.parametrize(
    ("size", "share", "problem"), [(7_999, 1.0, "7,999 pieces"), (50_001, 1.0, "50,001 pieces"), (8_000, 0.0, "share of 0.0")]
)
def test_a_size_or_share_out_of_range_is_wrong_use(texts, tmp_path, size, share, problem):
    with pytest.raises(UsageError, match=problem):
        train_vocabulary([texts], size, tmp_path / "new", share=share)


def test_a_source_without_text_is_named(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"empty\.txt: there is no text"):
        train_vocabulary([tmp_path / "empty.txt"], 8000, tmp_path / "new")


def test_a_rare_character_is_worth_ten_occurrences_of_a_word():
    fixed = len(choose_pieces({"가": 1}, 8000))  # specials, syllables, letters, digits, punctuation
    counts = {"漢": 2, "보증금": 21, "임차인": 19, "##에서": 20}
    assert choose_pieces(counts, fixed + 2)[-2:] == ["보증금", "##에서"]  # of the two that are worth 20 the one that is spelt first
    assert "漢" in choose_pieces(counts, fixed + 3)
    assert "임차인" not in choose_pieces(counts, fixed + 3)


def test_hanja_stand_alone_and_take_no_second_piece():
    pieces = choose_pieces({"漢": 5, "é": 5}, 8000)
    assert {"漢", "é", "##é"} <= set(pieces)
    assert "##漢" not in pieces
    assert build_tokenizer(pieces, 16).tokenize("漢漢 éé") == ["漢", "漢", "é", "##é"]


def test_a_large_corpus_of_many_rare_characters_still_leaves_room_for_words():
    hanja = {chr(0x4E00 + number): 2 for number in range(9000)}
    pieces = choose_pieces({**hanja, "보증금": 100}, 8000)
    assert len(pieces) == 8000
    assert {"보증금", *common_syllables()} <= set(pieces)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"model": {"type": "BPE", "vocab": {}}}', "is no WordPiece"),
        ('{"model": {"type": "WordPiece", "vocab": {"a": 1}}}', "without a gap"),
        ('{"model": {"type": "WordPiece", "vocab": {"a": 0}}}', r"lacks the special tokens \[PAD\]"),
        ("{}", "holds no tokenizer"),
    ],
)
def test_a_tokenizer_that_is_not_ours_is_refused(tmp_path, content, problem):
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=problem):
        load_tokenizer(tmp_path, 16)


def test_a_folder_without_tokenizer_says_how_one_is_made(tmp_path):
    (tmp_path / "vocab.txt").write_text("a", encoding="utf-8")
    with pytest.raises(ModelError, match=r"There is no tokenizer\.json") as caught:
        load_tokenizer(tmp_path, 16)
    assert "vocab.txt alone" in caught.value.remedy
