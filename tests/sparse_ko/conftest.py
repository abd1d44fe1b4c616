"""A collection of twelve passages written by hand, the encoders built from it, and the runs trained on it."""

import multiprocessing
from types import SimpleNamespace

import pytest

from retrieval_ko.collection import Collection, texts_of
from retrieval_ko.records import Passage, Query, SynonymPair
from retrieval_ko.runs import Run
from sparse_ko.model import SparseEncoder
from sparse_ko.settings import TrainSettings

PASSAGES = {
    "p01": ("보증금 반환", "임대차가 끝났는데도 보증금을 돌려받지 못한 임차인은 법원에 임차권등기명령을 신청할 수 있다."),
    "p02": ("차임 연체", "임차인이 차임을 두 번 연체하면 임대인은 계약을 해지할 수 있다."),
    "p03": ("주차 요금", "공영주차장의 요금은 승용차를 기준으로 십 분마다 오백 원이다."),
    "p04": ("도서관 대출", "도서관에서 책을 한 사람에게 다섯 권까지 이 주 동안 빌려준다."),
    "p05": ("김치찌개", "김치찌개는 익은 김치와 돼지고기를 냄비에 볶다가 물을 붓고 끓인다."),
    "p06": ("백업", "데이터베이스는 매일 밤 백업을 만들고 서버의 다른 디스크에 저장한다."),
    "p07": ("형태소 분석", "형태소 분석기는 문장을 명사와 조사와 어미로 나눈다."),
    "p08": ("벡터 검색", "벡터 검색은 문서와 질의를 숫자로 바꾸어 가까운 것을 찾는다."),
    "p09": ("건강 검진", "건강검진은 병원에서 이 년마다 무료로 받을 수 있다."),
    "p10": ("기차 예매", "기차표는 출발 한 달 전부터 역이나 앱에서 예매한다."),
    "p11": ("박물관", "박물관은 월요일에 쉬고 수요일에는 밤까지 문을 연다."),
    "p12": ("세금 신고", "종합소득세는 오월에 세무서에 신고하고 납부한다."),
}
QUESTIONS = {  # two to a passage
    "p01": ("전세 보증금을 못 받았어요", "임차권등기명령 신청"),
    "p02": ("월세를 연체하면 해지되나요", "임대인의 계약 해지"),
    "p03": ("공영주차장 요금", "승용차 주차는 얼마인가요"),
    "p04": ("도서관에서 책을 몇 권 빌리나요", "도서관 대출 기간"),
    "p05": ("김치찌개 끓이는 법", "돼지고기와 김치를 볶는 요리"),
    "p06": ("데이터베이스 백업 시각", "서버 디스크 저장"),
    "p07": ("조사와 어미를 나누는 방법", "형태소 분석기"),
    "p08": ("벡터 검색이란", "가까운 문서를 찾는 법"),
    "p09": ("건강검진은 무료인가요", "병원 검진 주기"),
    "p10": ("기차표 예매", "출발 전 언제부터 표를 사나요"),
    "p11": ("박물관 쉬는 날", "수요일 박물관 시간"),
    "p12": ("종합소득세 신고", "세무서 납부 기한"),
}
SYNONYMS = {"보증금": "deposit", "임대인": "landlord", "백업": "backup", "도서관": "library", "형태소": "morpheme"}
SEED = 8
"""In 32 dimensions words are alike by chance; with this seed so much that the untrained encoder confuses passages, so training has work."""


def settings_of(body, **training):
    return TrainSettings.model_validate(
        {
            "name": f"tiny-{body}",
            "vocabulary": {"size": 6000},
            "model": {"body": body, "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 64},
            "training": {"epochs": 2, "batch_size": 4, "seed": SEED, **training},
        }
    )


@pytest.fixture(scope="session")
def collection():
    """Twelve passages, 24 queries: of each passage's two, one is for training and one for dev (odd) or test (even passages)."""
    passages = {key: Passage(id=key, title=title, text=text) for key, (title, text) in PASSAGES.items()}
    asked = {f"q{key}{letter}": text for key, texts in QUESTIONS.items() for letter, text in zip("ab", texts, strict=True)}
    queries = {key: Query(id=key, text=text) for key, text in asked.items()}
    judgements = {"train": {f"q{key}a": {key: 1} for key in PASSAGES}, "dev": {}, "test": {}}
    for place, key in enumerate(PASSAGES):
        judgements["test" if place % 2 else "dev"][f"q{key}b"] = {key: 1}
    synonyms = [SynonymPair(ko=ko, en=en) for ko, en in SYNONYMS.items()]
    return Collection("tiny", passages, queries, judgements, synonyms)


@pytest.fixture(scope="session")
def lexical_settings():
    """Settings of an encoder wide enough that chance similarities stay below the bias (256 dimensions: 4.8 standard deviations)."""

    def of(body):
        settings = settings_of(body)
        return settings.model_copy(update={"model": settings.model.model_copy(update={"dimensions": 256, "heads": 4})})

    return of


@pytest.fixture(scope="session")
def untrained(collection, lexical_settings):
    """The siamese encoders of both bodies before their first training step."""
    from sparse_ko.building import build_encoder

    return {body: build_encoder(lexical_settings(body), collection) for body in ("static", "transformer")}


@pytest.fixture(params=["static", "transformer"])
def encoder(request, untrained):
    """An untrained encoder, once of each body."""
    return untrained[request.param]


@pytest.fixture(scope="session")
def texts(collection):
    """The passages' texts, of different lengths, and a few that break encoders: empty, one character, emoji, over the limit."""
    return [*texts_of(collection.passages.values()), "", "가", "🍲 떡볶이!", "보증금을 돌려받지 못한 임차인 " * 40]


class StoppedError(Exception):
    """What a person's Ctrl-C or a power cut is to a run."""


@pytest.fixture(scope="session")
def runs(collection, tmp_path_factory):
    """Three runs of the transformer body with one seed: two uninterrupted ones, and one that was stopped after an epoch and resumed.

    The transformer body has dropout, so equality also says that the state of the random numbers is kept.
    """
    from sparse_ko.training import train

    folder = tmp_path_factory.mktemp("runs")
    settings = settings_of("transformer")
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"neighbour_pull": 0.0})})  # they take seconds to find
    steps = []
    first = train(settings, collection, folder / "first", data_hash="ab" * 32, on_progress=lambda done, of, _: steps.append((done, of)))
    second = train(settings, collection, folder / "second", data_hash="ab" * 32)

    def stop_in_the_second_epoch(done, of, _):
        if done == of // 2 + 1:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        train(settings, collection, folder / "stopped", data_hash="ab" * 32, on_progress=stop_in_the_second_epoch)
    stopped_metadata = Run(folder / "stopped").metadata()
    resumed = train(settings, collection, folder / "stopped", data_hash="ab" * 32, resume=True)
    return SimpleNamespace(settings=settings, steps=steps, first=first, second=second, resumed=resumed, stopped_metadata=stopped_metadata)


@pytest.fixture(scope="session")
def trained(runs):
    """The encoder that the first run left."""
    return SparseEncoder.load(runs.first.model_folder, device="cpu")


@pytest.fixture(scope="session")
def start():
    """Start Python code in a process of its own that has the libraries loaded, and return the process; whatever is left is killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sparse_ko.training.run"])
    started = []

    def run(code, **names):
        process = context.Process(target=exec, args=(code, names))
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()
