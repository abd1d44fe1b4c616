"""From a deploy over the pipeline to a hit, on a real node: what is found is explained, and the scores are the model's."""

import sys
from pathlib import Path

import pytest

from opensearch_ko.cluster import Cluster
from opensearch_ko.deployment import deploy_archive
from opensearch_ko.errors import ClusterError
from opensearch_ko.ingest import index_collection
from opensearch_ko.models import predict_sparse
from opensearch_ko.queries import query_tokens, search
from retrieval_ko.records import Passage

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import Made, sparse_archive

pytestmark = pytest.mark.node

PASSAGES = [
    Passage(id="a", title="전세 보증금", text="임대차 계약이 끝나면 전세 보증금을 돌려받는다."),
    Passage(id="b", text="퇴직금은 근로 계약이 끝난 뒤 지급한다.", metadata={"parent_id": "근로기준법"}),
    Passage(id="c", title="층간 소음", text="층간 소음으로 손해 배상을 청구하는 주택의 이웃"),
    Passage(id="d", title="상속", text="상속 세금과 이혼 위자료"),
]


def words(text):
    """Stand in for Kiwi's content terms: these tests are about the cluster."""
    return text.split()


@pytest.fixture(scope="module")
def made(cluster, tmp_path_factory):
    everything = Made(cluster, tmp_path_factory.mktemp("archives"))
    yield everything
    everything.remove()


@pytest.fixture(scope="module")
def filled(cluster, made):
    """An index of the four passages, encoded by the node, and its model's id."""
    archive, name = made.archive(sparse_archive, seed=3), made.index()
    model_id = deploy_archive(cluster, archive, name, on_step=lambda _: None).model_id
    report = index_collection(cluster, name, PASSAGES, content_terms=words)
    assert (report.indexed, report.failed, report.failures) == (4, 0, None)
    return name, model_id


@pytest.mark.parametrize("mode", ["bm25", "sparse"])
def test_the_contributions_of_a_hit_sum_to_its_score(cluster, filled, mode):
    answer = search(cluster, filled[0], "전세 계약이 끝나면 보증금 전세", mode, content_terms=words)
    assert answer.hits
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    for hit in answer.hits:
        assert sum(hit.terms.values()) == pytest.approx(hit.score, rel=0.001)
    shape = answer.model_dump()
    assert shape.keys() == {"mode", "took_ms", "hits"}
    assert shape["hits"][0].keys() == {"id", "score", "title", "text", "terms"}


def test_bm25_finds_by_the_clients_terms_and_returns_the_passage(cluster, filled):
    [hit] = search(
        cluster, filled[0], "퇴직금은", "bm25", content_terms=words
    ).hits  # "퇴직금" alone would not match: no analysis on the node
    assert (hit.id, hit.title, hit.text) == ("b", PASSAGES[1].title, PASSAGES[1].text)
    assert set(hit.terms) == {"퇴직금은"}


def test_sparse_scores_are_the_dot_products_of_the_models_weights(cluster, filled):
    name, model_id = filled
    [asked] = predict_sparse(cluster, model_id, ["전세 보증금"])
    offered = predict_sparse(cluster, model_id, [passage.passage_text for passage in PASSAGES])
    expected = {
        passage.id: sum(weight * weights.get(token, 0.0) for token, weight in asked.items())
        for passage, weights in zip(PASSAGES, offered, strict=True)
    }
    found = {hit.id: hit.score for hit in search(cluster, name, "전세 보증금", "sparse", content_terms=words, terms=False).hits}
    assert found == pytest.approx(expected, rel=0.005)
    encoded_here = cluster.request("POST", f"/{name}/_search", query_tokens(asked))["hits"]["hits"]
    assert {hit["_id"]: hit["_score"] for hit in encoded_here} == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("mode", ["bm25", "sparse"])
def test_a_missing_index_says_how_it_is_made(cluster, made, mode):
    index = made.index()
    with pytest.raises(ClusterError, match=f"has no index {index}") as refusal:
        search(cluster, index, "전세", mode, content_terms=words)
    assert f"--index {index}" in refusal.value.remedy


def test_the_connection_is_described_by_its_address(cluster):
    assert isinstance(cluster, Cluster)
    assert repr(cluster) == f"Cluster({cluster.url})"
