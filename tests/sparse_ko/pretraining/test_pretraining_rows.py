"""Rows hold every token of every text once; what is hidden depends on seed and step alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import DataError, UsageError
from sparse_ko.pretraining.masking import NOT_HIDDEN, Masking
from sparse_ko.pretraining.packing import open_rows, pack, write_rows
from sparse_ko.pretraining.settings import MaskingSettings
from sparse_ko.pretraining.trainer import HeldOutRows, RowBatches, unigram_log_likelihood
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer

WORDS = ["가", "나", "다", "라", "##은", "##을", "##까지"]
PAD, _, CLS, SEP, MASK = range(5)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([*SPECIAL_TOKENS, *WORDS], 8)


@given(st.lists(st.lists(st.sampled_from(["가은", "나을까지", "다", "라"]), max_size=12).map(" ".join), max_size=8))
def test_rows_are_the_texts_one_after_the_other(tokenizer, texts):
    rows = [row for part in pack(tokenizer, texts, 8) for row in part.tolist()]
    assert all(len(row) == 8 and row[0] == CLS for row in rows)
    stream = [token for row in rows for token in row[1:]]
    expected = [token for text in texts for token in [*tokenizer(text, add_special_tokens=False)["input_ids"], SEP]]
    assert stream[: len(expected)] == expected
    assert set(stream[len(expected) :]) <= {PAD}
    assert len(stream) - len(expected) < 7


def test_rows_on_disk_are_those_written(tokenizer, tmp_path):
    parts = [np.arange(16, dtype=np.uint32).reshape(2, 8), np.full((1, 8), 7, dtype=np.uint32)]
    write_rows(tmp_path / "rows", iter(parts))
    np.testing.assert_array_equal(open_rows(tmp_path / "rows", 8), np.concatenate(parts))
    with pytest.raises(DataError, match="holds no rows of 9 tokens"):
        open_rows(tmp_path / "rows", 9)


def ids_of(tokenizer, *rows):
    return torch.tensor([tokenizer.convert_tokens_to_ids(row.split()) for row in rows])


ROWS = ("[CLS] 가 ##은 나 ##을 ##까지 다 라 [SEP] 가 ##을 나", "[CLS] 라 다 나 가 라 ##은 [SEP] [PAD] [PAD] [PAD] [PAD]")


@given(st.integers(0, 2**20), st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans())
def test_labels_are_the_hidden_tokens_and_special_ones_are_never_hidden(tokenizer, number, share, whole_words):
    ids = ids_of(tokenizer, *ROWS)
    batch = Masking(tokenizer, MaskingSettings(share=share, whole_words=whole_words), 13)(ids, number)
    hidden = batch["labels"] != NOT_HIDDEN
    assert torch.equal(batch["labels"][hidden], ids[hidden])
    assert torch.equal(batch["input_ids"][~hidden], ids[~hidden])
    assert not hidden[ids < 5].any()
    assert torch.equal(batch["attention_mask"], (ids != PAD).long())
    shown = batch["input_ids"][hidden]
    assert ((shown == MASK) | (shown >= 5)).all()
    assert hidden.any(dim=1).all()


@given(st.integers(0, 2**20), st.sampled_from([0.1, 0.3, 0.5]))
def test_of_every_row_the_share_that_was_asked_for_is_hidden(tokenizer, number, share):
    batch = Masking(tokenizer, MaskingSettings(share=share), 13)(ids_of(tokenizer, *ROWS), number)
    assert (batch["labels"] != NOT_HIDDEN).sum(dim=1).tolist() == [max(round(10 * share), 1), max(round(6 * share), 1)]


@given(st.integers(0, 2**20), st.sampled_from([0.1, 0.3, 0.5]))
def test_whole_words_are_hidden_whole(tokenizer, number, share):
    batch = Masking(tokenizer, MaskingSettings(share=share, whole_words=True), 13)(ids_of(tokenizer, *ROWS), number)
    hidden = (batch["labels"] != NOT_HIDDEN).tolist()
    for row, words in zip(hidden, ([[1, 2], [3, 4, 5], [6], [7], [9, 10], [11]], [[1], [2], [3], [4], [5, 6]]), strict=True):
        for word in words:
            assert len({row[place] for place in word}) == 1


def test_a_piece_after_a_row_was_cut_is_a_word_of_its_own(tokenizer):
    ids = ids_of(tokenizer, "[CLS] ##은 ##을 가 [SEP] ##까지")
    for number in range(20):
        hidden = Masking(tokenizer, MaskingSettings(share=0.5, whole_words=True), 1)(ids, number)["labels"][0] != NOT_HIDDEN
        assert hidden[1] == hidden[2]
        assert not hidden[0]


def test_eight_of_ten_hidden_tokens_become_the_mask_one_another_one_stays(tokenizer):
    ids = torch.full((200, 100), 5)
    batch = Masking(tokenizer, MaskingSettings(share=0.5), 2)(ids, 0)
    shown = batch["input_ids"][batch["labels"] != NOT_HIDDEN]
    # 10,000 draws: standard deviations of 0.4 % and 0.3 %; another word is itself in one of seven cases
    assert abs(float((shown == MASK).double().mean()) - 0.8) < 0.02
    assert abs(float(((shown != MASK) & (shown != 5)).double().mean()) - 0.1 * 6 / 7) < 0.015


def test_the_number_of_the_batch_and_the_seed_decide(tokenizer):
    ids = ids_of(tokenizer, *ROWS).repeat(10, 1)
    labels = [Masking(tokenizer, MaskingSettings(), seed)(ids, number)["labels"] for seed, number in ((1, 1), (1, 1), (1, 2), (2, 1))]
    assert torch.equal(labels[0], labels[1])
    assert not torch.equal(labels[0], labels[2])
    assert not torch.equal(labels[0], labels[3])


def test_a_tokenizer_without_a_mask_is_wrong_use(tokenizer):
    other = build_tokenizer([*SPECIAL_TOKENS, *WORDS], 8)
    other.mask_token = None
    with pytest.raises(UsageError, match="no mask token"):
        Masking(other, MaskingSettings(), 1)


def rows_of(count):
    return np.concatenate([np.full((count, 1), CLS), np.random.default_rng(3).integers(5, 12, size=(count, 7))], axis=1).astype(np.uint32)


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 50))
def test_every_row_comes_once_an_epoch(tokenizer, count, batch_size, seed):
    batches = RowBatches(rows_of(count), Masking(tokenizer, MaskingSettings(), 1), batch_size, count * 3, seed)
    read = [row for step in range(count * 3) for row in batches.numbers(step)]
    for epoch in range(len(read) // count):
        assert sorted(read[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_processes_share_the_batch_of_one(tokenizer):
    def batches(share):
        return RowBatches(rows_of(10), Masking(tokenizer, MaskingSettings(), 1), 4, 9, 5, share)

    for step in (8, 0, 3):  # in any order
        whole, parts = batches((0, 1))[step], [batches((number, 2))[step] for number in (0, 1)]
        for name in whole:
            assert torch.equal(whole[name], torch.cat([part[name] for part in parts]))


def test_the_guess_without_context_is_the_formula(tokenizer):
    counts = torch.tensor([0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0])
    held_out = HeldOutRows(np.array([[CLS, 5, 5, 5, 6, 5, 5, 6]], dtype=np.uint32), Masking(tokenizer, MaskingSettings(share=0.9), 1), 4)
    [batch] = held_out
    wanted = batch["labels"][batch["labels"] != NOT_HIDDEN].tolist()
    expected = [-np.log((3 if token == 6 - 1 else 1) + 1) + np.log(16) for token in wanted]  # of 4 counted and 12 added
    found = held_out.unigram(counts)
    assert found.loss == pytest.approx(np.mean(expected))
    assert found.accuracy == pytest.approx(wanted.count(5) / len(wanted))
    assert float(unigram_log_likelihood(counts).exp().sum()) == pytest.approx(1)
