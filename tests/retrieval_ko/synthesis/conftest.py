"""A server on loopback that speaks Ollama's protocol, and ten passages to ask it about."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retrieval_ko.records import Passage

PASSAGES = {
    "p01": ("보증금 반환", "임대차가 끝났는데도 보증금을 돌려받지 못한 임차인은 법원에 임차권등기명령을 신청할 수 있다."),
    "p02": ("차임 연체", "임차인이 차임을 두 번 연체하면 임대인은 계약을 해지할 수 있다."),
    "p03": ("주차 요금", "공영주차장의 요금은 승용차를 기준으로 십 분마다 오백 원이다."),
    "p04": ("도서관 대출", "도서관에서 책을 한 사람에게 다섯 권까지 이 주 동안 빌려준다."),
    "p05": ("김치찌개", "김치찌개는 익은 김치와 돼지고기를 냄비에 볶다가 물을 붓고 끓인다."),
    "p06": ("백업", "데이터베이스는 매일 밤 백업을 만들고 서버의 다른 디스크에 저장한다."),
    "p07": ("형태소 분석", "형태소 분석기는 문장을 명사와 조사와 어미로 나눈다."),
    "p08": ("건강 검진", "건강검진은 병원에서 이 년마다 무료로 받을 수 있다."),
    "p09": ("기차 예매", "기차표는 출발 한 달 전부터 역이나 앱에서 예매한다."),
    "p10": ("세금 신고", "종합소득세는 오월에 세무서에 신고하고 납부한다."),
}


@pytest.fixture
def passages():
    return [Passage(id=key, title=title, text=text) for key, (title, text) in PASSAGES.items()]


class OllamaProtocol(BaseHTTPRequestHandler):
    """Answers as a test lays down: `server.answer(body)` returns text, (status, bytes, headers), or "cut" or "hang"."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send(200, self.server.tags)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
        answer = self.server.answer(body)
        if answer == "hang":
            self.server.released.wait()
            self.close_connection = True
        elif answer == "cut":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"response": "')
            self.close_connection = True
        elif isinstance(answer, str):
            self._send(200, json.dumps({"model": body["model"], "response": answer, "done": True, "done_reason": "stop"}).encode())
        else:
            self._send(*answer)

    def _send(self, status, content, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def ollama():
    server = ThreadingHTTPServer(("127.0.0.1", 0), OllamaProtocol)
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.lock, server.released, server.requests = threading.Lock(), threading.Event(), []
    server.tags = json.dumps({"models": [{"name": "exaone:latest"}, {"name": "qwen:4b"}]}).encode()
    server.answer = lambda body: "보증금 돌려받기"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()
