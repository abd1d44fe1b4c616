"""An audit names what breaks a search in OpenSearch, of tokenizers made here so that each fault is known beforehand."""

import json
import unicodedata

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from retrieval_ko.errors import DataError, ModelError
from sparse_ko.vocabulary import SPECIAL_TOKENS, audit_tokenizer
from sparse_ko.vocabulary.audit import audit_of
from sparse_ko.vocabulary.findings import LARGEST_SPARSE_VECTOR_ID
from sparse_ko.vocabulary.tokenizer import word_pieces

PIECES = [*SPECIAL_TOKENS, "보증금", "##을", "보", "증", "금", "##증", "##금", "é", "e"]


def marked(tokenizer):
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def ours(pieces=PIECES):
    return marked(word_pieces(pieces))


def unigram(words):
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in SPECIAL_TOKENS), *((word, -2.0) for word in words)], unk_id=1))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return marked(tokenizer)


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [], trainers.BpeTrainer(special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def finding(audit, name):
    [found] = [finding for finding in audit.findings if finding.name == name]
    return found


def test_a_word_piece_vocabulary_of_this_package_serves_both_fields():
    audit = audit_of(ours(), "ours", ["보증금을 보증금"])
    assert audit.field_types == ["rank_features", "sparse_vector"]
    assert (audit.kind, audit.ids, audit.special, audit.collisions, audit.empty_keys) == ("WordPiece", len(PIECES), 5, 0, 0)
    assert {finding.level for finding in audit.findings} <= {"fine", "note"}
    audit.check_serves("rank_features")


def test_sentence_piece_words_at_the_start_and_inside_of_a_word_share_a_key():
    audit = audit_of(unigram(["▁", "▁보증금", "보증금", "▁전세", "전세", "을"]), "unigram")
    assert audit.collisions == 4  # two words, two forms each
    assert dict(audit.colliding) == {"보증금": ("▁보증금", "보증금"), "전세": ("▁전세", "전세")}
    assert audit.empty_keys == 1  # the lone word boundary
    assert audit.field_types == ["sparse_vector"]
    with pytest.raises(ModelError, match="'▁보증금' and '보증금' are both '보증금'") as caught:
        audit.check_serves("rank_features")
    assert "WordPiece" in caught.value.remedy


def test_bytes_that_are_no_characters_share_the_replacement_character():
    audit = audit_of(byte_level(), "bytes")
    assert audit.replacement_keys == audit.collisions == 128  # ASCII's 128 bytes are characters alone, the others are none
    assert audit.colliding[0][0] == "\ufffd"
    assert finding(audit, "keys with U+FFFD").level == "warning"
    assert audit.field_types == ["sparse_vector"]


def test_lower_casing_that_strips_accents_takes_hangul_apart():
    tokenizer = ours()
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # strip_accents follows lowercase
    audit = audit_of(tokenizer, "bert's default", ["보증금"])
    assert audit.decomposes_hangul
    assert audit.strips_accents
    assert audit.sample.unknown_share == 1.0
    assert {finding(audit, name).level for name in ("jamo", "unknown")} == {"warning"}


def test_without_nfc_the_same_text_has_two_cuts():
    tokenizer = ours()
    tokenizer.normalizer = normalizers.Lowercase()
    texts = ["보증금", "e"]  # the second is the same in both forms
    audit = audit_of(tokenizer, "no NFC", texts)
    assert audit.sample.nfd_share == 0.5
    assert not audit.decomposes_hangul
    assert audit_of(ours(), "ours", texts).sample.nfd_share == 0.0


def test_compatibility_characters_that_change_are_listed():
    tokenizer = ours()
    tokenizer.normalizer = normalizers.NFKC()
    changed = dict(audit_of(tokenizer, "NFKC").changed_characters)
    assert changed["㈜"] == unicodedata.normalize("NFKC", "㈜") == "(주)"
    assert "豈" not in changed  # a compatibility Hanja, that NFC changes too
    assert audit_of(ours(), "ours").changed_characters == ()


def test_rates_of_a_sample_are_those_counted_by_hand():
    # 보증금 ##을 | 보 ##증 | [UNK] : five pieces of three words, one unknown, of 14 ids five used
    audit = audit_of(ours(), "ours", ["보증금을 보증", "車"])
    assert audit.sample.pieces_per_eojeol == pytest.approx(5 / 3)
    assert audit.sample.unknown_share == pytest.approx(1 / 5)
    assert audit.sample.vocabulary_used == pytest.approx(5 / len(PIECES))
    assert audit.hangul_share == pytest.approx(7 / 9)  # of the nine pieces all but é and e


def test_truncation_and_padding_hide_nothing_and_stay_as_they_were():
    tokenizer = ours()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    audit = audit_of(tokenizer, "cut", ["보증금을 " * 20])
    assert audit.truncation == 3
    assert audit.sample.pieces_per_eojeol == 2.0
    assert (tokenizer.truncation["max_length"], tokenizer.padding["length"]) == (3, 50)


def test_missing_truncation_is_noted_with_who_fills_it_in():
    assert "sparse-ko export" in finding(audit_of(ours(), "ours"), "truncation").remedy


def test_placeholders_and_gaps_are_counted():
    pieces = [*PIECES, "[unused0]", "[unused1]", "<extra_id_3>"]
    assert audit_of(ours(pieces), "placeholders").unused == 3
    content = json.loads(ours().to_str())
    content["model"]["vocab"]["전세"] = len(PIECES) + 10
    audit = audit_of(Tokenizer.from_str(json.dumps(content)), "gaps")
    assert (audit.gaps, audit.largest_id) == (10, len(PIECES) + 10)


def test_special_tokens_that_are_not_marked_get_keys_of_their_own():
    audit = audit_of(word_pieces(PIECES), "unmarked")
    assert audit.unmarked_special == ("[CLS]", "[SEP]")
    assert finding(audit, "special tokens").level == "warning"


@pytest.mark.parametrize(
    ("largest", "fields"), [(LARGEST_SPARSE_VECTOR_ID, ["rank_features", "sparse_vector"]), (32_768, ["rank_features"])]
)
def test_sparse_vector_takes_ids_that_fit_a_signed_short(largest, fields):
    content = json.loads(ours().to_str())
    content["model"]["vocab"]["전세"] = largest
    assert audit_of(Tokenizer.from_str(json.dumps(content)), "large").field_types == fields


def test_a_vocabulary_that_can_serve_no_field_says_why_for_each():
    content = json.loads(unigram(["▁보증금", "보증금"]).to_str())
    content["model"]["vocab"] += [[f"낱{number}", -9.0] for number in range(32_768)]
    audit = audit_of(Tokenizer.from_str(json.dumps(content)), "no field")
    assert audit.field_types == []
    answer = audit.as_json()["field_types"]
    assert answer["rank_features"] == {"served": False, "forbidden_by": ["decode collisions"]}
    assert answer["sparse_vector"] == {"served": False, "forbidden_by": ["largest id"]}


def test_the_unknown_token_of_a_unigram_is_counted():
    assert audit_of(unigram(["▁보증금"]), "unigram", ["보증금 車"]).sample.unknown_share > 0


@pytest.mark.parametrize("place", ["tokenizer.json", "", "nested"])
def test_a_tokenizer_is_found_as_a_file_in_a_folder_and_one_folder_below(tmp_path, place):
    target = tmp_path / ("document_0_Transformer" if place == "nested" else ".")
    target.mkdir(exist_ok=True)
    ours().save(str(target / "tokenizer.json"))
    audit = audit_tokenizer(tmp_path / ("" if place == "nested" else place))
    assert audit.sample.texts == 300  # the sample in the package


def test_a_sample_of_ones_own_is_read(tmp_path):
    ours().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "texts.txt").write_text("보증금\n보증금을\n", encoding="utf-8")
    sample = audit_tokenizer(tmp_path, tmp_path / "texts.txt").sample
    assert (sample.name, sample.texts, sample.pieces_per_eojeol) == ("texts.txt", 2, 1.5)


def test_an_empty_sample_is_an_error(tmp_path):
    ours().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "texts.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no text to measure with"):
        audit_tokenizer(tmp_path, tmp_path / "texts.txt")


def test_two_tokenizers_in_one_folder_are_not_guessed_between(tmp_path):
    for name, pieces in (("query", PIECES), ("document", [*PIECES, "가"])):
        (tmp_path / name).mkdir()
        ours(pieces).save(str(tmp_path / name / "tokenizer.json"))
    with pytest.raises(ModelError, match="several tokenizers, in document, query"):
        audit_tokenizer(tmp_path)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Letters"}}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be loaded"):
        audit_tokenizer(tmp_path)


def test_a_post_processor_without_special_tokens_is_no_fault():
    tokenizer = ours()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    assert audit_of(tokenizer, "bare").unmarked_special == ()
