"""Ollama's protocol over real HTTP, and everything that a server can do wrong."""

import json
import socket
import threading

import pytest

from retrieval_ko.errors import UsageError
from retrieval_ko.synthesis.backend import AnswerError, BackendError
from retrieval_ko.synthesis.ollama import ATTEMPTS, ATTEMPTS_AFTER_TIMEOUT, DEFAULT_URL, OllamaBackend


def backend_at(url, model="exaone", **changes):
    return OllamaBackend(model, url, **{"pause_seconds": 0.001, "timeout_seconds": 5, **changes})


def first(*answers):
    """Return an answer function that gives each of the answers once and then repeats the last."""
    left = list(answers)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


def ollama_json(text, **more):
    return 200, json.dumps({"response": text, "done": True, **more}).encode(), {}


def test_the_request_is_ollamas(ollama):
    assert backend_at(ollama.url).generate("검색어를 쓰세요", seed=7) == "보증금 돌려받기"
    [body] = ollama.requests
    assert (body["model"], body["prompt"], body["stream"]) == ("exaone", "검색어를 쓰세요", False)
    assert body["options"]["seed"] == 7
    assert {"temperature", "num_predict", "num_ctx"} <= body["options"].keys()


def test_the_default_server_is_this_machine():
    assert DEFAULT_URL == "http://127.0.0.1:11434"


@pytest.mark.parametrize("model", ["exaone", "exaone:latest", "qwen:4b"])
def test_a_model_that_is_pulled_is_found(ollama, model):
    backend_at(ollama.url, model).check()


@pytest.mark.parametrize("model", ["llama3", "qwen", "qwen:8b"])
def test_a_model_that_is_not_pulled_is_named_with_the_command_that_pulls_it(ollama, model):
    with pytest.raises(BackendError, match=f"ollama pull {model}$") as raised:
        backend_at(ollama.url, model).check()
    assert "qwen:4b" in raised.value.problem


def test_a_model_that_is_removed_in_between_is_not_asked_again(ollama):
    ollama.answer = first((404, b'{"error": "model \\"exaone\\" not found, try pulling it first"}'))
    with pytest.raises(BackendError, match="ollama pull exaone"):
        backend_at(ollama.url).generate("?", seed=1)
    assert len(ollama.requests) == 1


@pytest.mark.parametrize("ask", [lambda backend: backend.check(), lambda backend: backend.generate("?", seed=1)])
def test_a_server_that_does_not_run_is_one_clear_error(ask):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"  # bound and not listening: nobody answers, nobody else gets the port
        with pytest.raises(BackendError, match="ollama serve") as raised:
            ask(backend_at(url))
    assert url in raised.value.problem


@pytest.mark.parametrize("tags", [b"<html>It works!</html>", b"[]", b'{"models": 3}', b'{"models": [{}]}', b"\xff"])
def test_a_server_that_is_no_ollama_is_told_apart(ollama, tags):
    ollama.tags = tags
    with pytest.raises(BackendError, match="no Ollama server"):
        backend_at(ollama.url).check()


FAULTS = {
    "500": (500, b'{"error": "llama runner process has terminated"}'),
    "503": (503, b'{"error": "server busy, please try again"}'),
    "429": (429, b"slow down", {"Retry-After": "0"}),
    "429 with a strange header": (429, b"slow down", {"Retry-After": "bald"}),
    "not JSON": (200, b"<html>"),
    "half of JSON": (200, b'{"response": "\xea\xb0\x80'),
    "a list": (200, b"[1]"),
    "no response": (200, b'{"done": true}'),
    "a number as response": (200, b'{"response": 3, "done": true}'),
    "not done": (200, '{"response": "보증금", "done": false}'.encode()),
    "empty": ollama_json("  \n"),
    "cut connection": "cut",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_overcome(ollama, fault):
    ollama.answer = first(FAULTS[fault], FAULTS[fault], "전세금 안 돌려줘요")
    assert backend_at(ollama.url).generate("?", seed=1) == "전세금 안 돌려줘요"
    assert len(ollama.requests) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_is_given_up_after_a_few_attempts(ollama, fault):
    ollama.answer = first(FAULTS[fault])
    with pytest.raises(AnswerError):
        backend_at(ollama.url).generate("?", seed=1)
    assert len(ollama.requests) == ATTEMPTS
    assert len({body["options"]["seed"] for body in ollama.requests}) == ATTEMPTS, "the same seed would only fail again"


def test_the_servers_own_words_are_shown(ollama):
    ollama.answer = first(FAULTS["500"])
    with pytest.raises(AnswerError, match="llama runner process has terminated"):
        backend_at(ollama.url).generate("?", seed=1)


def test_a_timeout_is_tried_once_more(ollama):
    ollama.answer = first("hang", "전세금")
    assert backend_at(ollama.url, timeout_seconds=0.2).generate("?", seed=1) == "전세금"
    ollama.answer = first("hang")
    ollama.requests.clear()
    with pytest.raises(AnswerError, match=r"within 0\.2 seconds"):
        backend_at(ollama.url, timeout_seconds=0.2).generate("?", seed=1)
    assert len(ollama.requests) == ATTEMPTS_AFTER_TIMEOUT


def test_pauses_grow_and_the_servers_wish_comes_first(ollama, monkeypatch):
    pauses = []
    monkeypatch.setattr("retrieval_ko.synthesis.ollama.time.sleep", pauses.append)
    ollama.answer = first(FAULTS["500"], (429, b"", {"Retry-After": "9"}), (503, b"", {"Retry-After": "9999"}), "전세금")
    backend_at(ollama.url, pause_seconds=0.5).generate("?", seed=1)
    assert pauses == [0.5, 9, 30]


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_server_that_refuses_is_not_asked_again(ollama, status):
    ollama.answer = first((status, b"no", {"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(BackendError, match=str(status)):
        backend_at(ollama.url).generate("?", seed=1)
    assert len(ollama.requests) == 1


def test_a_prompt_that_is_refused_fails_alone(ollama):
    ollama.answer = first((400, b'{"error": "the input length exceeds the context length"}'))
    with pytest.raises(AnswerError, match="exceeds the context"):
        backend_at(ollama.url).generate("?", seed=1)
    assert len(ollama.requests) == 1


def test_a_line_that_was_cut_off_is_left_out(ollama):
    ollama.answer = first(ollama_json("보증금 반환 방법\n임차권등기명령 신\n보증금을 안 돌", done_reason="length"))
    assert backend_at(ollama.url).generate("?", seed=1) == "보증금 반환 방법\n임차권등기명령 신"


@pytest.mark.parametrize("url", ["127.0.0.1:11434", "localhost", "ftp://host", "http://", "http://[::1", ""])
def test_what_is_no_url_is_wrong_use(url):
    with pytest.raises(UsageError, match="http://127"):
        OllamaBackend("exaone", url)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(UsageError) as raised:
        OllamaBackend("exaone", "http://kim:geheim@127.0.0.1:11434")
    assert "geheim" not in str(raised.value)


def test_many_threads_may_ask_at_once(ollama):
    together = threading.Barrier(4, timeout=10)

    def answer(body):
        together.wait()
        return f"{body['prompt']}의 답"

    ollama.answer = answer
    backend, answers = backend_at(ollama.url), {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: backend.generate(str(n), seed=n)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"{n}의 답" for n in range(4)}
