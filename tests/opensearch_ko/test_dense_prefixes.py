"""What stands before a dense model's texts is the same in training, evaluation and serving; an option wins, and is said."""

import json
import logging
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import deploy_archives
import export_models

from dense_ko import BiEncoder
from dense_ko.templates import Prefixes, prompts_of
from opensearch_ko.dense_encoding import DenseFolder
from opensearch_ko.export import ModelArchive, export_dense
from opensearch_ko.export.writer import runnable
from opensearch_ko.index_meta import DenseReference
from opensearch_ko.indexes import read_meta
from opensearch_ko.prefixes import check_asked, version_mark, without_mark
from opensearch_ko.queries import search
from opensearch_ko.queries.folder_reader import dense_reader
from retrieval_ko.errors import ModelError, UsageError
from retrieval_ko.files import folder_sha256
from sparse_ko_cli.sparse import app

QUERY, PASSAGE = "전세 보증금", "보증금을 돌려받는 절차"
OWN, EXPORTED = ("질문: ", "글: "), ("물음 ", "본문 ")
E5 = ("query: ", "passage: ")
SERVED = {
    "multilingual-e5-small": (E5, "template e5, by the name of "),
    "prompted": (OWN, "template own, by the prompts of "),
    "recorded": (E5, "template e5, by the training_config.json of "),
    "e5-without": (("", ""), "template none, by the training_config.json of "),
    "plain": (("", ""), "template none, by the name of "),
}
"""Folder → what stands before queries and passages, and where that is from."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = dict(zip(("query", "document"), OWN, strict=True))
    return export_models.save_dense(tmp_path_factory.mktemp("prefixes") / "dense", export_models.tokenizer(), prompts=prompts)


@pytest.fixture(scope="module")
def folders(folder):
    """One folder of each of SERVED, all with the weights of `folder`."""
    root = folder.parent / "served"
    bare = export_models.save_dense(root / "plain", export_models.tokenizer())
    shutil.copytree(bare, root / "multilingual-e5-small")
    shutil.copytree(folder, root / "prompted")
    BiEncoder(root / "multilingual-e5-small", device="cpu").save(root / "recorded")
    BiEncoder(root / "multilingual-e5-small", "none", device="cpu").save(root / "e5-without")
    return root


@pytest.fixture(scope="module")
def said(folders):
    """What the command answers to the export of each folder."""
    run = CliRunner(env={"COLUMNS": "400"})
    ending = ["--out", str(folders / "out"), "--name", "same", "--json"]
    return {name: run.invoke(app, ["export", "--model", str(folders / name), *ending]) for name in SERVED}


@pytest.fixture(scope="module")
def served(said):
    """The zips of the folders."""
    return {name: ModelArchive.read(json.loads(answer.stdout)["path"]) for name, answer in said.items()}


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


def as_the_node(archive, side, text):
    """Embed a text as the node does: the registered prefix, the tokenizer and the graph of the zip."""
    with zipfile.ZipFile(archive.path) as content:
        tokenizer = Tokenizer.from_str(content.read("tokenizer.json").decode())
        [graph] = [content.read(name) for name in content.namelist() if name.endswith(".pt")]
    ids = tokenizer.encode(archive.card.registration.get(f"{side}_prefix", "") + text).ids
    return np.asarray(runnable(graph, "torchscript")(ids)).reshape(-1)


@pytest.mark.parametrize("name", SERVED)
def test_a_folder_is_served_as_it_is_evaluated(folders, served, name):
    (query, passage), _ = SERVED[name]
    config = served[name].card.registration
    assert (config.get("query_prefix", ""), config.get("passage_prefix", "")) == (query, passage)
    evaluated = BiEncoder(folders / name, device="cpu")
    [asked], [found] = evaluated.encode_queries([QUERY]), evaluated.encode_passages([PASSAGE])
    np.testing.assert_allclose(as_the_node(served[name], "query", QUERY), asked, atol=1e-5)
    np.testing.assert_allclose(as_the_node(served[name], "passage", PASSAGE), found, atol=1e-5)
    np.testing.assert_allclose(dense_reader(folders / name)(QUERY), asked, atol=1e-5)
    np.testing.assert_allclose(DenseFolder(folders / name).encode([PASSAGE])[0], found, atol=1e-5)


@pytest.mark.parametrize("name", SERVED)
def test_the_command_says_which_prefixes_it_took_and_why(folders, said, name):
    (query, passage), why = SERVED[name]
    assert f"Before queries stands {query!r}, before passages {passage!r}: {why}{folders / name}." in said[name].stderr


def test_an_option_goes_before_the_name_and_says_so(folders, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        card = export_dense(folders / "multilingual-e5-small", tmp_path, query_prefix="").card
    assert ("query_prefix" in card.registration, card.registration["passage_prefix"]) == (False, E5[1])
    warned, said = (record.message for record in caplog.records if record.name == "opensearch_ko.prefixes")
    assert "is '', as was asked for; the folder's own is 'query: ' (template e5, by the name of" in warned
    assert "Before queries stands '', before passages 'passage: ': query as was asked for, else template e5" in said


def test_a_folder_that_contradicts_itself_is_not_served(folders, tmp_path):
    changed = shutil.copytree(folders / "recorded", tmp_path / "changed")
    config = json.loads((changed / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    (changed / "config_sentence_transformers.json").write_text(json.dumps(config | {"prompts": {}}), encoding="utf-8")
    for reading in (lambda: export_dense(changed, tmp_path), lambda: DenseFolder(changed), lambda: dense_reader(changed)):
        with pytest.raises(ModelError, match="contradicts itself: the prompts"):
            reading()


def test_one_folder_with_other_prefixes_is_another_version_and_file(folders, served):
    folder = folders / "multilingual-e5-small"
    asked = [{"query_prefix": query, "passage_prefix": passage} for query, passage in (EXPORTED, ("", ""))]
    others = [export_dense(folder, folders / "out", name="same", **prefixes) for prefixes in asked]
    assert len({archive.path for archive in (served["multilingual-e5-small"], *others)}) == 3
    assert others[-1].card.version == folder_sha256(folder)[:12]  # none: named as ever
    assert served["multilingual-e5-small"].card.folder_version == others[-1].card.folder_version
    again = export_dense(folder, folders / "again", name="same")
    assert again.card.version == served["multilingual-e5-small"].card.version
    for name in ("prompted", "recorded", "e5-without", "plain"):  # their prompts are in the folder's own hash
        assert served[name].card.version == folder_sha256(folders / name)[:12]


PAIRS = st.tuples(st.text(max_size=5), st.text(max_size=5)).map(lambda pair: Prefixes(*pair))


@given(PAIRS, PAIRS, PAIRS)
def test_versions_tell_prefixes_apart(one, other, own):
    marks = [version_mark(prefixes, prompts_of(own)) for prefixes in (one, other)]
    assert (marks[0] == marks[1]) == (one == other)
    assert version_mark(own, prompts_of(own)) == ""
    assert [without_mark(f"0123456789ab-onnx{mark}") for mark in marks] == ["0123456789ab-onnx"] * 2


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
        (["index", "--index", "x", "--collection", ".", "--passage-prefix", "a"], "--passage-prefix goes with --dense DIR|ZIP"),
        (["search", "query", "전세", "--index", "x", "--query-prefix", "a"], "--query-prefix is for queries that this machine reads"),
    ],
)
def test_a_prefix_without_its_model_is_refused(words, complaint):
    answer = CliRunner(env={"COLUMNS": "300"}).invoke(app, words)
    assert answer.exit_code == 2
    assert complaint in answer.stderr


@pytest.mark.node
def test_the_node_puts_before_texts_what_the_evaluation_does(cluster, made, folders):
    folder, name = folders / "multilingual-e5-small", made.index()
    encoder = made.archive(deploy_archives.sparse_archive, seed=1)
    made.archive(lambda out: export_dense(folder, out))  # what the command makes of the folder: to be removed with the others
    words = ["deploy", "--cluster", cluster.url, "--model", encoder.path, "--dense", folder, "--index", name]
    answer = CliRunner(env={"COLUMNS": "400"}).invoke(app, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    assert f"before passages 'passage: ': template e5, by the name of {folder}" in answer.stderr
    assert (read_meta(cluster, name).dense.query_prefix, read_meta(cluster, name).dense.passage_prefix) == E5
    cluster.request("PUT", f"/{name}/_doc/1", {"passage": PASSAGE}, params={"refresh": "true"})
    stored = cluster.request("GET", f"/{name}/_doc/1")["_source"]["dense"]
    evaluated = BiEncoder(folder, device="cpu")
    [found] = evaluated.encode_passages([PASSAGE])
    assert stored == pytest.approx(found, abs=1e-4)
    cosine, bare = (float(asking.encode_queries([QUERY])[0] @ found) for asking in (evaluated, evaluated.with_template("none")))
    assert abs(cosine - bare) > 0.01  # else it could not be told which was asked
    for mode in ("dense", "dense-exact"):
        [hit] = search(cluster, name, QUERY, mode, content_terms=str.split).hits
        assert hit.score == pytest.approx((1 + cosine) / 2, abs=1e-3)  # what a knn_vector field makes of a cosine
