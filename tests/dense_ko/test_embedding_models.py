"""`lex-dpr embed` with real models: a folder by torch, an exported graph by onnxruntime, and a process that is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "opensearch_ko"))
import export_models

from dense_ko import BiEncoder, TemplateMode
from dense_ko.embedding import read_embeddings
from dense_ko.embedding.onnx_encoder import OnnxBiEncoder
from opensearch_ko.export import export_dense
from retrieval_ko.errors import ModelError, UsageError
from sparse_ko_cli.lexdpr import app

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = ["전세 보증금을 신청하는 절차", "임차인", "서울 opensearch 검색", "한국어 " * 20]
PROMPTS = {"query": "query: ", "document": "passage: ", "passage": "passage: "}
PROCESS_SECONDS = 300


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of a model that was trained with E5's template, its graphs, and those of other kinds."""
    root, pieces = tmp_path_factory.mktemp("models"), export_models.tokenizer()
    folder = export_models.save_dense(root / "e5", pieces, prompts=PROMPTS)
    BiEncoder(folder, device="cpu").save(root / "ours")
    return {
        "folder": folder,
        "ours": root / "ours",
        "fp32": export_dense(folder, root, model_format="onnx").path,
        "int8": export_dense(folder, root, model_format="onnx", precision="int8").path,
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"_id": f"p{place}", "text": text}) + "\n" for place, text in enumerate(TEXTS)))
    return path


@pytest.fixture(scope="module")
def long_source(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"_id": f"p{place}", "text": TEXTS[place % 4] + str(place)}) + "\n" for place in range(3000)))
    return path


@pytest.fixture
def embed(tmp_path):
    runner = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"})

    def call(*arguments, prefix="some", kind="passage"):
        given = ["embed", "--outdir", tmp_path, "--prefix", prefix, "--type", kind, *arguments]
        return runner.invoke(app, [str(argument) for argument in given])

    return call


def test_a_folder_is_embedded_with_its_own_template(models, source, embed, tmp_path):
    for kind, prompt in (("query", "query: "), ("passage", "passage: ")):
        done = embed("--model", models["folder"], "--input", source, "--json", "--device", "cpu", prefix=kind, kind=kind)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["dimensions"] == export_models.DIMENSIONS
        ids, vectors = read_embeddings(tmp_path / f"{kind}.npz")
        assert ids.tolist() == ["p0", "p1", "p2", "p3"]
        expected = SentenceTransformer(str(models["folder"]), device="cpu").encode([prompt + text for text in TEXTS])
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_the_graph_gives_the_folders_vectors(models, source, embed, tmp_path):
    for prefix, arguments in (("torch", ["--model", models["folder"], "--device", "cpu"]), ("onnx", ["--onnx", models["fp32"]])):
        done = embed(*arguments, "--input", source, "--format", "npy", prefix=prefix)
        assert done.exit_code == 0, done.output
        assert f"{prefix}_embeds.npy" in done.stdout
    (_, torch), (_, onnx) = (read_embeddings(tmp_path / prefix) for prefix in ("torch", "onnx"))
    np.testing.assert_allclose(onnx, torch, atol=1e-5)


@pytest.mark.parametrize("side", ["encode_queries", "encode_passages"])
def test_int8_stays_near_the_model(models, side):
    encoder, graph = BiEncoder(models["folder"], device="cpu"), OnnxBiEncoder(models["int8"])
    cosines = (getattr(encoder, side)(TEXTS) * getattr(graph, side)(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.95
    np.testing.assert_allclose(np.linalg.norm(getattr(graph, side)(TEXTS), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_neither_batches_nor_order_change_what_a_graph_says(models, batch_size):
    graph = OnnxBiEncoder(models["fp32"])
    one_by_one = np.concatenate([graph.encode_passages([text]) for text in TEXTS])
    np.testing.assert_allclose(graph.encode_passages(TEXTS, batch_size), one_by_one, atol=1e-5)
    np.testing.assert_allclose(graph.encode_passages(TEXTS[::-1], batch_size)[::-1], one_by_one, atol=1e-5)


def test_a_template_that_the_model_has_may_be_named(models):
    assert OnnxBiEncoder(models["fp32"], TemplateMode.E5).prefixes == ("query: ", "passage: ")


def test_a_graph_without_a_card_takes_the_template_that_is_named(models, tmp_path):
    with zipfile.ZipFile(models["fp32"]) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".onnx")]
        (tmp_path / "model.onnx").write_bytes(archive.read(name))
        (tmp_path / "tokenizer.json").write_bytes(archive.read("tokenizer.json"))
    found = OnnxBiEncoder(tmp_path / "model.onnx", TemplateMode.E5).encode_queries(TEXTS)
    np.testing.assert_array_equal(found, OnnxBiEncoder(models["fp32"]).encode_queries(TEXTS))


def test_a_zip_of_another_kind_is_refused(models, tmp_path):
    pieces = export_models.tokenizer()
    torchscript = export_dense(models["folder"], tmp_path).path
    with pytest.raises(UsageError, match="holds TorchScript"):
        OnnxBiEncoder(torchscript)
    with zipfile.ZipFile(models["fp32"]) as archive, zipfile.ZipFile(tmp_path / "sparse.zip", "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            changed.writestr(name, content.replace(b'"role": "dense"', b'"role": "encoder"') if name == "sparse_ko.json" else content)
    with pytest.raises(ModelError, match=r"sparse\.zip is a sparse model's \(encoder\)"):
        OnnxBiEncoder(tmp_path / "sparse.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("tokenizer.json", pieces.backend_tokenizer.to_str())
    with pytest.raises(ModelError, match=r"other\.zip is no exported bi-encoder: it holds tokenizer\.json"):
        OnnxBiEncoder(tmp_path / "other.zip")


@pytest.mark.parametrize("damage", ["cut", "graph"])
def test_a_damaged_zip_is_refused(models, tmp_path, damage):
    path = tmp_path / "damaged.zip"
    if damage == "cut":
        path.write_bytes(models["fp32"].read_bytes()[:5000])
    else:
        with zipfile.ZipFile(models["fp32"]) as archive, zipfile.ZipFile(path, "w") as changed:
            for name in archive.namelist():
                changed.writestr(name, b"no graph" if name.endswith(".onnx") else archive.read(name))
    with pytest.raises(ModelError, match=r"damaged\.zip cannot be read|can't load the graph"):
        OnnxBiEncoder(path)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--model", "{ours}", "--template", "bge"], 2, "was trained with template e5, not bge"),
        (["--model", "{folder}", "--template", "e6"], 2, "There is no template 'e6'"),
        (["--onnx", "{fp32}", "--template", "bge"], 2, "puts 'query: ' before queries"),
        (["--onnx", "{fp32}", "--model", "{other}"], 2, "was exported from another model folder"),
        (["--onnx", "{other}/nothing.zip"], 1, "There is no file"),
        (["--onnx", "{fp32}", "--device", "tpu"], 2, "runs nothing on tpu"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(models, source, embed, tmp_path, arguments, code, complaint):
    places = {name: str(path) for name, path in models.items()} | {"other": str(tmp_path)}
    done = embed(*(argument.format(**places) for argument in arguments), "--input", source)
    assert done.exit_code == code, done.output
    assert complaint in done.stderr
    assert not (tmp_path / "some.npz").exists()


def test_with_no_model_named_and_none_packaged_both_ways_out_are_said(source, embed, monkeypatch, tmp_path):
    monkeypatch.setattr("dense_ko.packaged.PACKAGED", tmp_path / "none")
    done = embed("--input", source)
    assert done.exit_code == 2, done.output
    assert "Neither --model nor --onnx" in done.stderr


def test_a_wrong_line_is_named_and_nothing_is_written(models, embed, tmp_path):
    source = tmp_path / "wrong.jsonl"
    source.write_text('{"_id": "a", "text": "전세"}\n{"text": "전세"}\n')
    done = embed("--onnx", models["fp32"], "--input", source)
    assert done.exit_code == 1
    assert "wrong.jsonl, line 2: has no _id" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.jsonl"]


def process(command, models, source, folder, *more):
    arguments = [*command, "--onnx", models["int8"], "--input", source, "--outdir", folder, "--prefix", "some", "--type", "passage"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments), "--shard-size", "60", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


LEX_DPR = ["-c", "from sparse_ko_cli.lexdpr import main; main()", "embed"]


def test_a_killed_process_goes_on_and_ends_with_the_same_bytes(models, long_source, tmp_path):
    whole = process([ROOT / "scripts" / "embed_corpus.py"], models, long_source, tmp_path / "whole")  # the script and the command are one
    _, said = whole.communicate(timeout=PROCESS_SECONDS)
    assert whole.returncode == 0, said.decode()

    shards = tmp_path / "killed" / ".some.shards"
    killed = process(LEX_DPR, models, long_source, tmp_path / "killed")
    deadline = time.monotonic() + PROCESS_SECONDS
    while not (shards / "000003.npz").exists():
        assert killed.poll() is None, killed.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=PROCESS_SECONDS)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "some.npz").exists()

    resumed = process(LEX_DPR, models, long_source, tmp_path / "killed", "--resume", "--json")
    printed, said = resumed.communicate(timeout=PROCESS_SECONDS)
    assert resumed.returncode == 0, said.decode()
    assert json.loads(printed)["encoded"] <= 3000 - 4 * 60
    for name in ("some.npz", "some.embeddings.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not shards.exists()


def test_a_graph_is_run_without_torch(models, source, tmp_path):
    code = (
        "import sys; from sparse_ko_cli.lexdpr import app\n"
        "try: app()\n"
        "finally: sys.stderr.write(str(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))))"
    )
    done = process(["-c", code, "embed"], models, source, tmp_path)
    _, said = done.communicate(timeout=PROCESS_SECONDS)
    assert done.returncode == 0, said.decode()
    assert said.decode().rstrip().endswith("[]")
