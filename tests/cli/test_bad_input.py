"""The table of bad input: one clear message that names file, line or id, exit code 1 or 2, nothing half-written."""

import errno
import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PASSAGE = {"_id": "p1", "title": "보증금", "text": "임차인은 보증금의 반환을 청구할 수 있다."}
QUERY = {"_id": "q1", "text": "전세금 안 돌려줘요"}


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


COLLECTIONS = {
    # what is wrong: (file, its bytes, words of the message)
    "empty corpus": ("corpus.jsonl", b"", ["corpus.jsonl", "empty"]),
    "duplicate id": ("corpus.jsonl", lines(PASSAGE, PASSAGE), ["corpus.jsonl, line 2", "'p1'", "line 1"]),
    "missing id": ("corpus.jsonl", lines(PASSAGE, {"text": "이름 없는 글"}), ["corpus.jsonl, line 2", "_id"]),
    "empty text": ("corpus.jsonl", lines({"_id": "p1", "text": "  "}), ["corpus.jsonl, line 1", "'p1'", "empty"]),
    "no text": ("corpus.jsonl", lines({"_id": "p1"}), ["corpus.jsonl, line 1", "text"]),
    "not JSON": ("corpus.jsonl", lines(PASSAGE) + b"{oops\n", ["corpus.jsonl, line 2", "not JSON"]),
    "a list": ("corpus.jsonl", b"[1]\n", ["corpus.jsonl, line 1", "object"]),
    "invalid UTF-8": ("corpus.jsonl", lines(PASSAGE) + "글".encode("cp949") + b"\n", ["corpus.jsonl, line 2", "UTF-8", "iconv"]),
    "NUL byte": ("corpus.jsonl", lines(PASSAGE) + b'{"_id": "p2", "text": "a\0b"}\n', ["corpus.jsonl, line 2", "NUL"]),
    "5 MB passage": (
        "corpus.jsonl",
        lines({"_id": "big", "text": "가" * 1_700_000}),
        ["corpus.jsonl, line 1", "'big'", "1,700,000", "1,000,000"],
    ),
    "judgement of an unknown passage": ("qrels/train.tsv", b"query-id\tcorpus-id\tscore\nq1\tp9\t1\n", ["train.tsv, line 2", "'p9'"]),
    "judgement of an unknown query": ("qrels/train.tsv", b"query-id\tcorpus-id\tscore\nq9\tp1\t1\n", ["train.tsv, line 2", "'q9'"]),
    "spaces for tabs": ("qrels/train.tsv", b"q1 p1 1\n", ["train.tsv, line 1", "tab"]),
    "a grade that is no number": ("qrels/train.tsv", b"q1\tp1\tyes\n", ["train.tsv, line 1", "'yes'"]),
    "half a synonym": ("synonyms.jsonl", lines({"ko": "보증금"}), ["synonyms.jsonl, line 1", "en"]),
}


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "collection"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_bytes(lines(PASSAGE))
    (folder / "queries.jsonl").write_bytes(lines(QUERY))
    for split in ("train", "dev"):
        (folder / "qrels" / f"{split}.tsv").write_bytes(b"query-id\tcorpus-id\tscore\nq1\tp1\t1\n")
    return folder


def config_for(collection, folder):
    path = folder / "config.yaml"
    path.write_text(f"name: bad\ncollection: {collection}\n", encoding="utf-8")
    return path


def is_one_clear_message(answer, code, words):
    assert answer.exit_code == code, answer.output
    assert answer.stderr.count("Error:") == 1
    assert "Traceback" not in answer.output
    message = " ".join(answer.stderr.split())
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


@pytest.mark.parametrize("defect", COLLECTIONS)
def test_a_collection_that_is_wrong_stops_the_training_before_it_starts(run, collection, tmp_path, defect):
    file, content, words = COLLECTIONS[defect]
    (collection / file).write_bytes(content)
    answer = run("train", config_for(collection, tmp_path), "--out", tmp_path / "run")
    is_one_clear_message(answer, 1, words)
    assert not (tmp_path / "run").exists()


def test_a_good_collection_is_fine(run, collection):
    (collection / "qrels" / "dev.tsv").unlink()  # it asks what train asks, which is a leak
    answer = run("data", "check", collection)
    assert answer.exit_code == 0
    assert "1 passages, 1 queries" in answer.stdout


@pytest.mark.parametrize(
    ("missing", "words"),
    [("tokenizer.json", ["tokenizer.json"]), ("model.safetensors", ["weights"]), ("modules.json", ["modules.json"])],
)
@pytest.mark.parametrize("command", ["export", "evaluate"])
def test_a_model_folder_that_lacks_a_part(run, model_folder, tmp_path, missing, words, command):
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    (broken / missing).unlink()
    answer = run(command, "--model", broken, "--out", tmp_path / "out")
    is_one_clear_message(answer, 1, [str(broken), *words])
    assert not (tmp_path / "out").exists()


def test_a_damaged_weights_file(run, model_folder, tmp_path):
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    is_one_clear_message(run("export", "--model", broken, "--out", tmp_path / "out"), 1, [str(broken), "cannot be loaded"])


def test_a_config_with_an_unknown_key(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("name: typo\ntraining:\n  learning_rat: 0.1\n", encoding="utf-8")
    is_one_clear_message(run("train", config), 2, [str(config), "training.learning_rat"])


def test_a_config_that_is_not_there(run):
    is_one_clear_message(run("train", "nowhere.yaml"), 2, ["nowhere.yaml", "demo"])


def test_a_run_folder_that_is_taken(run, tmp_path):
    (tmp_path / "letters.txt").write_text("mine", encoding="utf-8")
    is_one_clear_message(run("train", "demo", "--out", tmp_path), 2, [str(tmp_path), "other files"])
    assert (tmp_path / "letters.txt").read_text(encoding="utf-8") == "mine"


def test_an_unreachable_cluster(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"  # bound and not listening: nobody answers, nobody else gets the port
        is_one_clear_message(run("search", "--cluster", url, "--index", "demo", "질의"), 1, [url])


def test_no_cluster_at_all(run, tmp_path):
    env = {"SPARSE_KO_NODE_HOME": str(tmp_path), "SPARSE_KO_CLUSTER": "", "SPARSE_KO_CONFIG": str(tmp_path / "clusters.yaml")}
    is_one_clear_message(run("search", "--cluster", "--index", "demo", "질의", env=env), 2, ["sparse-ko node start"])


class Answers(BaseHTTPRequestHandler):
    """A server that answers what the test laid down for a path."""

    def _answer(self):
        status, body = self.server.answer(self.path, self.headers)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_HEAD = _answer  # noqa: N815

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_wrong_password_is_never_shown(run, server):
    server.answer = lambda path, headers: (401, {"error": "Unauthorized"})
    env = {"SPARSE_KO_CLUSTER_USER": "kim", "SPARSE_KO_CLUSTER_PASSWORD": "geheim-비밀-1234"}
    answer = run("search", "--cluster", server.url, "--index", "demo", "질의", env=env)
    is_one_clear_message(answer, 1, [server.url, "SPARSE_KO_CLUSTER_PASSWORD"])
    assert "1234" not in answer.output


def test_a_password_on_the_command_line_is_refused(run):
    answer = run("search", "--cluster", "http://kim:geheim1234@127.0.0.1:9200", "--index", "demo", "질의")
    is_one_clear_message(answer, 2, ["SPARSE_KO_CLUSTER_PASSWORD"])
    assert "geheim1234" not in answer.output


@pytest.mark.node
def test_a_cluster_without_ml_commons(run, server, node_url, model_folder, tmp_path):
    """The real node's own answers, but for its list of plugins: a node without ML Commons would cost another assembly."""
    import urllib.error
    import urllib.request

    def answer(path, headers):
        try:
            with urllib.request.urlopen(node_url + path) as real:
                status, body = real.status, json.load(real)
        except urllib.error.HTTPError as refusal:
            status, body = refusal.code, json.load(refusal)
        text = json.dumps(body)
        if "plugins" in text and path.startswith("/_nodes"):
            for node in body["nodes"].values():
                node["plugins"] = [plugin for plugin in node.get("plugins", []) if plugin["name"] != "opensearch-ml"]
        return status, body

    server.answer = answer
    exported = run("export", "--model", model_folder, "--out", tmp_path)
    assert exported.exit_code == 0, exported.output
    [archive] = tmp_path.glob("*.zip")
    is_one_clear_message(run("deploy", "--model", archive, "--cluster", server.url), 1, [server.url, "opensearch-ml"])


def test_a_full_disk_while_a_model_is_saved(run, model_folder, tmp_path, monkeypatch):
    from sentence_transformers import SparseEncoder as StockEncoder

    from sparse_ko.model import SparseEncoder

    def half_a_model(self, folder, **_):
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    encoder = SparseEncoder.load(model_folder)
    monkeypatch.setattr(StockEncoder, "save_pretrained", half_a_model)
    from retrieval_ko.errors import RetrievalError

    with pytest.raises(RetrievalError, match=r"disk is full") as raised:
        encoder.save(tmp_path / "model")
    assert str(tmp_path / "model") in raised.value.problem
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_a_zip_is_written(run, model_folder, tmp_path, monkeypatch):
    import zipfile

    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    answer = run("export", "--model", model_folder, "--out", tmp_path / "out")
    is_one_clear_message(answer, 1, ["disk is full", str(tmp_path / "out")])
    assert list((tmp_path / "out").iterdir()) == []
