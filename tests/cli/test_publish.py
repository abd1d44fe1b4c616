"""`publish` of both programs: a run of each, trained on the spot, as a folder for the hub and as a packaged model."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from retrieval_ko.collection import Collection
from retrieval_ko.files import sha256
from sparse_ko_cli import lexdpr, sparse

PASSAGES = ["보증금을 돌려받지 못한 임차인은 임차권등기명령을 신청할 수 있다.", "법인세는 사업연도가 끝난 날부터 세 달 안에 신고한다."]


def invoke(app, *arguments, env=None):
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [str(argument) for argument in arguments], env=env)


def printed(answer):
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def root(sample, model_folder, tmp_path_factory):
    """A collection under CC0, a run of each kind over the vocabulary of the demo's encoder, and an evaluation of the sparse one."""
    root = tmp_path_factory.mktemp("publish")
    judgements = {split: dict(list(sample.judgements[split].items())[:12]) for split in ("train", "dev")}
    queries = {query: sample.queries[query] for judged in judgements.values() for query in judged}
    passages = {key: sample.passages[key] for judged in judgements.values() for grades in judged.values() for key in grades}
    Collection("small", passages, queries, judgements, sample.synonyms[:4], "CC0-1.0", ["Written for this project."]).write(root / "small")
    training = {"epochs": 1, "batch_size": 6, "learning_rate": 1e-3}
    floor = {"form": "lexical-floor", "body": "static", "dimensions": 32, "max_tokens": 64}
    own = {"name": "tiny-floor", "vocabulary": {"source": str(model_folder)}, "model": floor}
    dense = {"name": "tiny-dense", "model": {"vocabulary": str(model_folder), "layers": 0, "dimensions": 32, "max_passage_tokens": 64}}
    for app, config in ((sparse.app, own), (lexdpr.app, dense)):
        name = config["name"]
        (root / f"{name}.yaml").write_text(json.dumps(config | {"collection": str(root / "small"), "training": training}), encoding="utf-8")
        printed(invoke(app, "train", root / f"{name}.yaml", "--out", root / name, "--json"))
        metadata = json.loads((root / name / "metadata.json").read_text(encoding="utf-8"))
        argv = ["/opt/bin/python", "/opt/bin/sparse-ko", "train", str(root / f"{name}.yaml"), "--out", str(root / name)]
        metadata["command"] = {"argv": argv, "folder": str(root)}  # as a shell gives it: here it was pytest's
        (root / name / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    model = ["--model", root / "tiny-floor" / "model", "--collection", root / "small", "--bm25", "bigram"]
    printed(invoke(sparse.app, "evaluate", *model, "--out", root / "evaluation", "--json"))
    (root / "limits.md").write_text("- It knows no hanja.\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def published(root):
    """The sparse run for the hub, rounded, in shards."""
    options = ["--precision", "fp16", "--max-shard-size", "900KB", "--evaluation", root / "evaluation", "--limits", root / "limits.md"]
    hub = ["--repo", "team/floor", "--dry-run", "--out", root / "hub"]
    answer = invoke(sparse.app, "publish", "--model", root / "tiny-floor" / "model", *options, *hub, "--json")
    return root / "hub", printed(answer)


def test_what_would_be_uploaded_is_what_lies_there(published):
    folder, report = published
    on_disk = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {file["name"]: (file["bytes"], file["sha256"]) for file in report["files"]} == {
        name: (path.stat().st_size, sha256(path)) for name, path in on_disk.items()
    }
    assert (report["repo"], report["uploaded"]) == ("team/floor", None)
    shards = [path for name, path in on_disk.items() if name.endswith(".safetensors")]
    assert len(shards) > 1
    assert max(path.stat().st_size for path in shards) <= 900_000


def test_the_rounded_folder_answers_as_the_model_does(published, root):
    from sparse_ko.model import SparseEncoder

    folder, report = published
    before, after = (SparseEncoder.load(place, device="cpu") for place in (root / "tiny-floor" / "model", folder))
    first, second = (encoder.encode_document(PASSAGES).toarray() for encoder in (before, after))
    np.testing.assert_allclose(second, first, atol=2e-3)
    assert 0.999 <= report["likeness"]["lowest_cosine"] <= 1
    assert {parameter.dtype.itemsize for parameter in after.module.parameters()} == {4}
    assert json.loads((folder / "sparse_ko.json").read_text(encoding="utf-8"))["precision"] == "fp16"
    assert (before.encode_query(PASSAGES) != after.encode_query(PASSAGES)).nnz == 0  # the query table is exact


def test_the_card_says_what_the_files_know(published, root):
    folder, _ = published
    card = (folder / "README.md").read_text(encoding="utf-8")
    matter = yaml.safe_load(card.split("---\n")[1])
    assert {name: matter[name] for name in ("language", "license", "library_name", "pipeline_tag", "datasets")} == {
        "language": "ko",
        "license": "apache-2.0",
        "library_name": "sparse-ko",
        "pipeline_tag": "feature-extraction",
        "datasets": ["small"],
    }
    evaluation = json.loads((root / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    row = next(row for row in evaluation["systems"] if row["system"] == "sparse-tiny-floor")
    low, high = row["ndcg@10_interval"]
    shown = next(line for line in card.splitlines() if line.startswith("| sparse-tiny-floor |"))
    for figure in (f"{row['ndcg@10']:.3f}", f"{low:.3f}–{high:.3f}", f"{row['doc_dims']:.0f}", f"{row['flops']:.2f}"):
        assert figure in shown
    assert "| bm25-bigram |" in card
    assert "CC0-1.0" in card
    assert "It knows no hanja." in card
    assert re.search(r"sparse-ko train tiny-floor\.yaml --out tiny-floor", card)
    assert "kWh" in card
    assert "\n    hf download team/floor --local-dir floor\n" in card  # indented: a command
    for path in folder.rglob("*.safetensors"):
        assert sha256(path) in card


def test_no_folder_of_this_machine_is_published(published, root):
    folder, _ = published
    for path in folder.rglob("*"):
        if path.is_file():
            assert str(root).encode() not in path.read_bytes(), path.name


def test_a_packaged_model_is_what_no_name_means(published, root, monkeypatch):
    from dense_ko.encoder import BiEncoder
    from sparse_ko.model import SparseEncoder

    place = root / "packaged"
    for app, name, module in ((sparse.app, "tiny-floor", "sparse_ko"), (lexdpr.app, "tiny-dense", "dense_ko")):
        to = ["--as-package", "--out", place / module / "default_model", "--precision", "fp16"]
        report = printed(invoke(app, "publish", "--model", root / name / "model", *to, "--json"))
        names = {file["name"] for file in report["files"]}
        assert "MODEL_CARD.md" in names
        assert "README.md" not in names
        assert not (place / module / "default_model" / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("---")
        monkeypatch.setattr(f"{module}.packaged.PACKAGED", place / module / "default_model")
    default = SparseEncoder()
    assert (default.encode_document(PASSAGES) != SparseEncoder.load(published[0]).encode_document(PASSAGES)).nnz == 0
    trained = BiEncoder.load(root / "tiny-dense" / "model", device="cpu").encode_passages(PASSAGES)
    packaged = BiEncoder(device="cpu")
    assert packaged.record.precision == "fp16"
    assert next(packaged.module.parameters()).dtype.itemsize == 4
    np.testing.assert_allclose(packaged.encode_passages(PASSAGES), trained, atol=2e-3)
    packaged.save(root / "again")
    assert json.loads((root / "again" / "training_config.json").read_text(encoding="utf-8"))["precision"] == "fp32"

    source = root / "texts.jsonl"
    source.write_text("".join(json.dumps({"_id": str(n), "text": text}) + "\n" for n, text in enumerate(PASSAGES)), encoding="utf-8")
    assert invoke(sparse.app, "encode", "--input", source, "--output", root / "weights.jsonl").exit_code == 0
    assert "보증금" in json.loads((root / "weights.jsonl").read_text(encoding="utf-8").splitlines()[0])["weights"]
    assert printed(invoke(sparse.app, "explain", "보증금", PASSAGES[0], "--json"))["score"] > 0
    rows = printed(invoke(sparse.app, "evaluate", "--collection", root / "small", "--bm25", "none", "--json"))["systems"]
    assert [row["system"] for row in rows] == ["sparse-default"]
    rows = printed(invoke(lexdpr.app, "evaluate", "--collection", root / "small", "--bm25", "none", "--json"))["systems"]
    assert [row["system"] for row in rows] == ["dense-default"]
    embedded = invoke(lexdpr.app, "embed", "--input", source, "--outdir", root, "--prefix", "some", "--type", "passage", "--json")
    assert printed(embedded)["texts"] == len(PASSAGES)


@pytest.mark.parametrize("command", [["encode", "--input", "x.jsonl", "--output", "y.jsonl"], ["explain", "보증금"]])
def test_without_a_packaged_model_the_way_out_is_said(command, monkeypatch, tmp_path):
    monkeypatch.setattr("sparse_ko.packaged.PACKAGED", tmp_path / "none")
    answer = invoke(sparse.app, *command)
    assert answer.exit_code == 1
    assert "sparse-ko train" in answer.stderr
    assert "--model" in answer.stderr


def test_a_licence_that_forbids_it_stops_before_anything_is_written(root, tmp_path):
    moved = shutil.copytree(root / "small", tmp_path / "small")
    (moved / "collection.json").write_text('{"name": "small", "licence": "CC BY-NC 4.0"}', encoding="utf-8")
    words = ["publish", "--model", root / "tiny-dense" / "model", "--at", moved, "--as-package", "--out", tmp_path / "out"]
    answer = invoke(lexdpr.app, *words)
    assert answer.exit_code == 1
    assert "collection small: CC BY-NC 4.0: it forbids commercial use" in answer.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--repo OWNER/NAME"),
        (["--repo", "team/x", "--dry-run"], "--out DIR"),
        (["--repo", "team/x", "--as-package", "--out", "x"], "Choose one"),
        (["--repo", "floor", "--dry-run", "--out", "x"], "whose it is"),
        (["--repo", "team/../x", "--dry-run", "--out", "x"], "--repo team/../x"),
        (["--as-package", "--out", "x", "--max-shard-size", "some"], "45MB"),
        (["--as-package", "--out", "x", "--licence-of", "MIT"], "NAME=LICENCE"),
        (["--as-package", "--out", "{model}"], "the model itself"),
        (["--as-package", "--out", "{small}"], "holds other files"),
        (["--as-package", "--out", "x", "--evaluation", "{evaluation}", "--system", "sparse-other"], "sparse-tiny-floor"),
    ],
)
def test_what_cannot_work_is_said(root, options, complaint):
    places = {"model": root / "tiny-floor" / "model", "small": root / "small", "evaluation": root / "evaluation"}
    answer = invoke(sparse.app, "publish", "--model", places["model"], *(option.format(**places) for option in options))
    assert answer.exit_code == 2, answer.output
    assert complaint in answer.stderr


def test_no_upload_without_token_hub_or_network(root, monkeypatch, tmp_path):
    from huggingface_hub import constants

    words = ["publish", "--model", root / "tiny-floor" / "model", "--repo", "team/floor"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    answer = invoke(sparse.app, *words)
    assert (answer.exit_code, "HF_HUB_OFFLINE" in answer.stderr) == (2, True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    nobody = {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": ""}
    answer = invoke(sparse.app, *words, env=nobody)
    assert (answer.exit_code, "hf auth login" in answer.stderr) == (2, True)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    answer = invoke(sparse.app, *words, env={"HF_TOKEN": "hf_secret"})
    assert answer.exit_code == 1, answer.output
    assert "can't be reached" in answer.stderr
    assert "hf_secret" not in answer.output
