"""A query means the same to a model folder and to the zip that the cluster reads it with, and the zip needs no torch."""

import json
import subprocess
import sys
import zipfile

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from opensearch_ko.export.query_tokenizer import query_tokenizer
from opensearch_ko.queries.folder_reader import FolderReader, dense_reader
from opensearch_ko.queries.query_table import QueryTable
from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import ModelError
from sparse_ko.building import build_encoder
from sparse_ko.settings import TrainSettings

TEXTS = ["전세 보증금을 돌려받지 못하면?", "전세 전세 전세", "😀 deposit 2년", "", "가" * 300]


@pytest.fixture(scope="module")
def encoder():
    sample = Collection.read(sample_folder())
    few = Collection("few", dict(list(sample.passages.items())[:60]))
    sizes = {"form": "doc-only", "dimensions": 32, "layers": 1, "heads": 2, "max_tokens": 64, "neighbour_pull": 0}
    return build_encoder(TrainSettings.model_validate({"name": "few", "model": sizes}), few)


@pytest.fixture(scope="module")
def query_zip(encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("zips") / "query.zip"
    tokenizer, table = query_tokenizer(encoder)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tokenizer.json", tokenizer)
        archive.writestr("idf.json", table)
    return path


def test_folder_and_zip_read_a_query_alike(encoder, query_zip, tmp_path):
    encoder.save(tmp_path / "model")
    folder, table = FolderReader.read(tmp_path / "model"), QueryTable.read(query_zip)
    for text in TEXTS:
        assert table.weights(text) == pytest.approx(folder.weights(text), abs=1e-6)
        assert table.ids(text) == pytest.approx(folder.ids(text), abs=1e-6)
        assert all(table.spelling(token) == folder.spelling(token) for token in table.ids(text))
    assert table.weights(TEXTS[1]) == table.weights("전세") != {}
    assert table.weights("") == {}


def test_a_zip_is_read_without_torch(query_zip):
    code = (
        "import sys\nfrom pathlib import Path\nfrom opensearch_ko.queries.query_table import QueryTable\n"
        f"assert QueryTable.read(Path({str(query_zip)!r})).weights('전세')\n"
        "sys.exit(sorted({'torch', 'transformers', 'sparse_ko'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_token_that_the_table_lacks_weighs_one_and_one_that_stands_for_nothing_is_left_out(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "전세": 1, "은": 2, "집": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]"])
    tokenizer.enable_padding(length=8, pad_id=3, pad_token="집")
    with zipfile.ZipFile(tmp_path / "query.zip", "w") as archive:
        archive.writestr("tokenizer.json", tokenizer.to_str())
        archive.writestr("idf.json", json.dumps({"은": 1e-6, "집": 2.5}))
    table = QueryTable.read(tmp_path / "query.zip")
    assert table.weights("전세 은 전세 모름") == {"전세": 1.0}
    assert table.ids("집 전세") == {3: 2.5, 1: 1.0}
    assert [table.spelling(token) for token in (1, 0, 99)] == ["전세", "0", "99"]


def test_a_folder_without_a_dense_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no modules\.json"):
        dense_reader(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config_sentence_transformers.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        dense_reader(tmp_path)
