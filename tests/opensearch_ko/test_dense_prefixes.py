"""What stands before a dense model's texts is what it was exported with, on this machine as on the node; an option wins, and is said."""

import logging
import sys
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import deploy_archives
import export_models

from opensearch_ko.deployment import deploy_archive
from opensearch_ko.encoding import DenseFolder
from opensearch_ko.export import export_dense
from opensearch_ko.index_meta import DenseReference
from opensearch_ko.indexes import read_meta
from opensearch_ko.prefixes import check_asked
from opensearch_ko.queries import search
from opensearch_ko.queries.folder_reader import dense_reader
from retrieval_ko.errors import UsageError
from sparse_ko_cli.sparse import app

QUERY, PASSAGE = "전세 보증금", "보증금을 돌려받는 절차"
OWN, EXPORTED = ("질문: ", "글: "), ("물음 ", "본문 ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = dict(zip(("query", "document"), OWN, strict=True))
    return export_models.save_dense(tmp_path_factory.mktemp("prefixes") / "dense", export_models.tokenizer(), prompts=prompts)


@pytest.fixture(scope="module")
def plain(folder):
    """Embed texts with nothing before them."""
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda text: model.encode(text, prompt="")


@pytest.fixture(scope="module")
def archive(folder):
    """The folder's zip, exported with other prefixes than its prompts."""
    return export_dense(folder, folder.parent / "out", query_prefix=EXPORTED[0], passage_prefix=EXPORTED[1])


@pytest.fixture(scope="module")
def remembered(archive):
    """What an index would remember of the zip."""
    return DenseReference.of(archive.card, "model")


def test_an_index_remembers_the_prefixes_of_the_export(remembered, folder, caplog):
    assert (remembered.query_prefix, remembered.passage_prefix) == EXPORTED
    with caplog.at_level(logging.WARNING):
        bare = export_dense(folder, folder.parent / "bare", query_prefix="", passage_prefix="")
    assert [repr(own) in record.message for own, record in zip(OWN, caplog.records, strict=True)] == [True, True]
    assert (DenseReference.of(bare.card, "model").query_prefix, bare.card.registration.get("query_prefix")) == ("", None)


@pytest.mark.parametrize(("asked", "side"), [(None, EXPORTED), ("주문 ", ("주문 ", "주문 ")), ("", ("", ""))])
def test_this_machine_puts_before_texts_what_the_export_does_unless_told_otherwise(folder, plain, remembered, caplog, asked, side):
    with caplog.at_level(logging.WARNING):
        passages = DenseFolder(folder, asked, remembered.passage_prefix)
        read = dense_reader(folder, asked, remembered.query_prefix)
    assert passages.encode([PASSAGE])[0] == pytest.approx(plain(side[1] + PASSAGE), abs=1e-5)
    assert read(QUERY) == pytest.approx(plain(side[0] + QUERY), abs=1e-5)
    for prefix in EXPORTED:  # both conflicts are said, with both values
        assert any(repr(prefix) in record.message for record in caplog.records)


def test_an_index_that_remembers_none_leaves_it_to_the_folder(folder, plain, caplog):
    with caplog.at_level(logging.WARNING):
        assert dense_reader(folder)(QUERY) == pytest.approx(plain(OWN[0] + QUERY), abs=1e-5)
        assert DenseFolder(folder).encode([PASSAGE])[0] == pytest.approx(plain(OWN[1] + PASSAGE), abs=1e-5)
        DenseFolder(folder, None, OWN[1])  # the same as the folder's: nothing to say
    assert not caplog.records


def test_a_zip_is_not_deployed_with_another_prefix_than_it_was_checked_with(archive):
    check_asked(archive, *EXPORTED)
    check_asked(archive, None, None)
    with pytest.raises(UsageError, match="exported with the query prefix '물음 ', not ''") as refused:
        check_asked(archive, "", None)
    assert "sparse-ko export" in refused.value.remedy


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["deploy", "--model", "x.zip", "--query-prefix", "a"], "Add --dense"),
        (["index", "--index", "x", "--collection", ".", "--passage-prefix", "a"], "--passage-prefix goes with --dense DIR"),
        (["search", "query", "전세", "--index", "x", "--query-prefix", "a"], "--query-prefix is for queries that this machine reads"),
    ],
)
def test_a_prefix_without_its_model_is_refused(words, complaint):
    answer = CliRunner(env={"COLUMNS": "300"}).invoke(app, words)
    assert answer.exit_code == 2
    assert complaint in answer.stderr


@pytest.mark.node
def test_the_node_puts_them_before_passages_and_queries(cluster, made, folder, plain):
    name, encoder = made.index(), made.archive(deploy_archives.sparse_archive, seed=1)
    asked = dict(zip(("query_prefix", "passage_prefix"), EXPORTED, strict=True))
    dense = made.archive(lambda out: export_dense(folder, out, name=deploy_archives.new_name(), **asked))
    deploy_archive(cluster, encoder, name, dense=dense, on_step=lambda step: None)
    assert read_meta(cluster, name).dense.query_prefix == EXPORTED[0]
    cluster.request("PUT", f"/{name}/_doc/1", {"passage": PASSAGE}, params={"refresh": "true"})
    stored = cluster.request("GET", f"/{name}/_doc/1")["_source"]["dense"]
    assert stored == pytest.approx(plain(EXPORTED[1] + PASSAGE), abs=1e-4)
    cosine, bare = (float(plain(before + QUERY) @ plain(EXPORTED[1] + PASSAGE)) for before in (EXPORTED[0], ""))
    assert abs(cosine - bare) > 0.01  # else it could not be told which was asked
    for mode in ("dense", "dense-exact"):
        [hit] = search(cluster, name, QUERY, mode, content_terms=str.split).hits
        assert hit.score == pytest.approx((1 + cosine) / 2, abs=1e-3)  # what a knn_vector field makes of a cosine
