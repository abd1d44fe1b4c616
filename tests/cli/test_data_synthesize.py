"""`data synthesize` in processes of its own, stopped by Ctrl-C and by kill -9, against a server that speaks Ollama's protocol."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import read_pairs
from retrieval_ko.records import Passage, Query

NOUNS = ["보증금", "주차장", "도서관", "김치찌개", "백업", "형태소", "건강검진", "기차표", "박물관", "세금", "여권", "자전거"]


class Ollama(BaseHTTPRequestHandler):
    """Writes two queries about the passage's noun; only so many are answered as the server's gate lets through."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send({"models": [{"name": "exaone:latest"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        [noun] = [noun for noun in NOUNS if f"<글>\n{noun}" in body["prompt"]]
        with self.server.changed:
            self.server.asked.append(noun)
            number = len(self.server.asked)
            self.server.changed.notify_all()
            self.server.changed.wait_for(lambda: number <= self.server.gate)
        if noun in self.server.failing:
            self._send({"error": "out of memory"}, 500)
        else:
            self._send({"response": f"1. {noun} 이용 방법\n2. {noun} 얼마예요?", "done": True, "done_reason": "stop"})

    def _send(self, value, status=200):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError):  # whoever asked was killed
            self.wfile.write(content)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def ollama():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.changed, server.asked, server.gate, server.failing = threading.Condition(), [], 1000, set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    open_gate(server)
    server.shutdown()
    thread.join()
    server.server_close()


def open_gate(server):
    with server.changed:
        server.gate = 1000
        server.changed.notify_all()


@pytest.fixture
def collection(tmp_path):
    passages = {f"p{n:02}": Passage(id=f"p{n:02}", title=noun, text=f"{noun}의 이용 절차와 비용을 정한다.") for n, noun in enumerate(NOUNS)}
    made = Collection("tiny", passages, {"q1": Query(id="q1", text="백업 이용 방법")}, {"test": {"q1": {"p04": 1}}})
    made.write(tmp_path / "tiny")
    return tmp_path / "tiny"


def command(collection, server, *more):
    return ["data", "synthesize", str(collection), "--backend", "ollama", "--model", "exaone", "--url", server.url, "--queries", "2", *more]


@pytest.fixture
def started(collection, ollama):
    """Start the command in a process of its own, without filters, for which it would load Kiwi; none outlives the test."""
    processes = []

    def start(*more):
        code = "from sparse_ko_cli.sparse import main; main()"
        arguments = [sys.executable, "-c", code, *command(collection, ollama, "--no-filter", *more)]
        processes.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def interrupt(process):
    """Send Ctrl-C and read on until the process says that it has heard it and waits for what it has asked."""
    process.send_signal(signal.SIGINT)
    assert any("under way" in line for line in iter(process.stderr.readline, ""))


def wait_until_asked(server, count):
    with server.changed:
        assert server.changed.wait_for(lambda: len(server.asked) >= count, timeout=60)


def texts(collection):
    return [(pair.query_text, pair.positive_passages) for pair in read_pairs(collection / "pairs" / "synthetic.jsonl")]


EVERYTHING = [(f"{noun} {words}", [f"p{n:02}"]) for n, noun in enumerate(NOUNS) for words in ("이용 방법", "얼마예요?")]
EXPECTED = [pair for pair in EVERYTHING if pair[0] != "백업 이용 방법"]
"""What the filters leave: that one is a query of the collection's own test."""


def test_pairs_are_written_and_counted(run, collection, ollama):
    answer = run(*command(collection, ollama, "--json"))
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert (report["documents"], report["queries"], report["pairs"]) == (len(NOUNS), 2 * len(NOUNS), len(EXPECTED))
    assert report["rejected"] == {"known_query": 1}
    assert texts(collection) == EXPECTED
    [meta] = {tuple(pair.meta.items()) for pair in read_pairs(collection / "pairs/synthetic.jsonl")}
    assert {"type": "synthetic", "model": "exaone"}.items() <= dict(meta).items()


@pytest.mark.parametrize("workers", [1, 3])
def test_after_ctrl_c_no_passage_is_asked_twice_and_no_answer_lost(collection, ollama, started, workers):
    ollama.gate = 4
    process = started("--workers", str(workers))
    wait_until_asked(ollama, 4 + workers)
    interrupt(process)
    open_gate(ollama)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert not (collection / "pairs/synthetic.jsonl").exists()
    assert len(ollama.asked) < len(NOUNS)
    resumed = started("--workers", str(workers))
    assert resumed.wait(timeout=60) == 0, resumed.communicate()
    assert sorted(ollama.asked) == sorted(NOUNS)
    assert texts(collection) == EVERYTHING


def test_after_kill_9_only_what_was_under_way_is_asked_again(collection, ollama, started):
    ollama.gate = 5
    process = started()
    wait_until_asked(ollama, 6)
    process.kill()
    process.communicate(timeout=60)
    journal = collection / "pairs/synthetic.jsonl.journal"
    with journal.open("ab") as file:  # what a kill in the middle of a write leaves
        file.write(b'{"_id": "p11", "passage": "00')
    open_gate(ollama)
    resumed = started()
    assert resumed.wait(timeout=60) == 0, resumed.communicate()
    assert len(ollama.asked) == len(NOUNS) + 1
    assert set(ollama.asked) == set(NOUNS)
    assert texts(collection) == EVERYTHING


def test_a_second_ctrl_c_does_not_wait_for_the_model(ollama, started):
    ollama.gate = 2
    process = started()
    wait_until_asked(ollama, 3)
    interrupt(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


def test_passages_without_an_answer_are_named_and_asked_again(run, collection, ollama, monkeypatch):
    monkeypatch.setattr("retrieval_ko.synthesis.ollama.time.sleep", lambda _: None)
    ollama.failing = {"여권"}
    answer = run(*command(collection, ollama))
    assert answer.exit_code == 1
    assert "No answer for p10" in answer.stderr
    assert "out of memory" in answer.stderr
    assert len(texts(collection)) == len(EXPECTED) - 2
    ollama.failing = set()
    ollama.asked.clear()
    assert run(*command(collection, ollama)).exit_code == 0
    assert ollama.asked == ["여권"]
    assert texts(collection) == EXPECTED


def test_wrong_use_is_said_before_anything_is_asked(run, collection, ollama, tmp_path):
    unknown = run("data", "synthesize", collection, "--backend", "ollama", "--model", "llama3", "--url", ollama.url)
    assert unknown.exit_code == 1
    assert "ollama pull llama3" in unknown.stderr
    assert run("data", "synthesize", collection, "--backend", "ollama", "--model", "exaone", "--url", "nowhere").exit_code == 2
    missing = run(
        "data", "synthesize", collection, "--backend", "transformers", "--model", tmp_path / "no-model", env={"HF_HUB_OFFLINE": "1"}
    )
    assert missing.exit_code == 1
    assert "no-model" in missing.stderr
    (tmp_path / "mine.jsonl").write_text("mine", encoding="utf-8")
    taken = run(*command(collection, ollama, "--out", str(tmp_path / "mine.jsonl")))
    assert taken.exit_code == 2
    assert (tmp_path / "mine.jsonl").read_text(encoding="utf-8") == "mine"
    assert run(*command(collection, ollama, "--max-documents", "2")).exit_code == 0
    other = run(*command(collection, ollama, "--seed", "1"))
    assert other.exit_code == 2
    assert "seed was 0, now 1" in other.stderr
