"""A zip that ML Commons would refuse, or whose answers cannot be checked, is refused before it is sent."""

import hashlib
import zipfile

import pytest

from opensearch_ko.export import ExportCard, ModelArchive
from retrieval_ko.errors import DataError, ModelError

CARD = ExportCard(
    name="ko-law",
    version="0123456789ab",
    vocabulary_size=6000,
    max_tokens=256,
    probe_text="전세",
    probe_weights={"전세": 1.5},
    parity={"texts": 16, "largest_difference": 0.0, "tolerance": 1e-4},
    versions={"torch": "2.5"},
).model_dump_json()
WHOLE = {"ko-law.pt": "graph", "tokenizer.json": "{}", "sparse_ko.json": CARD}


@pytest.fixture
def archive(tmp_path):
    def write(entries):
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as target:
            for name, content in entries.items():
                target.writestr(name, content)
        return tmp_path / "model.zip"

    return write


def test_a_whole_zip_is_read_with_the_hash_that_registration_states(archive):
    path = archive(WHOLE)
    found = ModelArchive.read(path)
    assert found.card == ExportCard.model_validate_json(CARD)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.size_bytes == len(path.read_bytes())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ko-law.pt": None}, "holds 0 model files (none); ML Commons wants exactly one"),
        ({"other.pt": "graph"}, "holds 2 model files (ko-law.pt, other.pt)"),
        ({"other.onnx": "graph"}, "holds 2 model files (ko-law.pt, other.onnx)"),
        ({"tokenizer.json": None}, "has no tokenizer.json at its root"),
        ({"tokenizer.json": None, "deep/tokenizer.json": "{}"}, "has no tokenizer.json at its root"),
        ({"sparse_ko.json": None}, "has no sparse_ko.json"),
    ],
)
def test_a_zip_that_lacks_a_part_is_refused_with_the_command_that_writes_it_anew(archive, change, complaint):
    path = archive({name: content for name, content in {**WHOLE, **change}.items() if content is not None})
    with pytest.raises(ModelError) as caught:
        ModelArchive.read(path)
    assert caught.value.problem.startswith(str(path))
    assert complaint in caught.value.problem
    assert "sparse-ko export" in caught.value.remedy


@pytest.mark.parametrize("card", ["{}", "no json", CARD.replace("TORCH_SCRIPT", "KERAS"), CARD.replace('"name"', '"title"')])
def test_a_card_that_is_not_ours_is_refused(archive, card):
    with pytest.raises(DataError, match=r"sparse_ko\.json is not readable"):
        ModelArchive.read(archive({**WHOLE, "sparse_ko.json": card}))


def test_a_missing_or_cut_file_is_named(archive, tmp_path):
    with pytest.raises(ModelError, match=r"There is no file .*nothing\.zip"):
        ModelArchive.read(tmp_path / "nothing.zip")
    path = archive(WHOLE)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ModelError, match="is not a readable zip file"):
        ModelArchive.read(path)
