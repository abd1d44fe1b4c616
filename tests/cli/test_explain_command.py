"""`sparse-ko explain` with typed texts and with those of a collection."""

import json

import pytest

from retrieval_ko.collection import Collection, sample_folder

QUERY, PASSAGE = "보증금 반환", "임차인은 보증금의 반환을 청구할 수 있다."


@pytest.fixture(scope="module")
def asked(sample):
    """A query of the sample with one relevant passage."""
    query, [passage] = next(item for item in sample.relevant("dev").items() if len(item[1]) == 1)
    return query, passage


def test_words_are_shown_in_their_texts(run, model_folder):
    answer = run("explain", "--model", model_folder, QUERY, PASSAGE)
    assert answer.exit_code == 0, answer.output
    assert QUERY in answer.stdout
    assert PASSAGE in answer.stdout
    assert "score" in answer.stdout


def test_the_terms_say_where_they_stand(run, model_folder):
    report = json.loads(run("explain", "--model", model_folder, QUERY, PASSAGE, "--json", "--top", 1000).stdout)
    of = {term["token"]: term for term in report["terms"]}
    assert (of["보증금"]["in_query"], of["보증금"]["in_passage"]) == (True, True)
    assert report["score"] == pytest.approx(sum(term["contribution"] for term in report["terms"]))


def test_a_query_of_a_collection_is_explained_by_its_relevant_passage(run, model_folder, asked, sample, tmp_path):
    query, passage = asked
    command = [
        "explain",
        "--model",
        model_folder,
        "--collection",
        sample_folder(),
        "--query-id",
        query,
        "--html",
        tmp_path / "why.html",
        "--json",
    ]
    report = json.loads(run(*command).stdout)
    assert report["query"] == sample.queries[query].text
    assert [row["id"] for row in report["passages"]] == [passage]
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert sample.passages[passage].title in page


def test_named_passages_are_explained_in_their_order(run, model_folder, sample):
    wanted = list(sample.passages)[:2][::-1]
    options = [word for one in wanted for word in ("--passage-id", one)]
    report = json.loads(run("explain", "--model", model_folder, "보증금", "--collection", sample_folder(), *options, "--json").stdout)
    assert [row["id"] for row in report["passages"]] == wanted


def test_of_each_parent_the_best_passage_is_explained(run, model_folder, tmp_path):
    (tmp_path / "c" / "qrels").mkdir(parents=True)
    rows = [("a#0", "a", "주차 요금"), ("a#1", "a", "보증금 반환"), ("b#0", "b", "보증금")]
    (tmp_path / "c" / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": key, "text": text, "metadata": {"parent_id": parent}}) + "\n" for key, parent, text in rows),
        encoding="utf-8",
    )
    (tmp_path / "c" / "queries.jsonl").write_text('{"_id": "q", "text": "보증금 반환"}\n', encoding="utf-8")
    (tmp_path / "c" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n", encoding="utf-8")
    (tmp_path / "c" / "collection.json").write_text('{"name": "c", "judged": "parent"}', encoding="utf-8")
    assert Collection.read(tmp_path / "c").judged == "parent"
    report = json.loads(run("explain", "--model", model_folder, "--collection", tmp_path / "c", "--query-id", "q", "--json").stdout)
    assert [row["id"] for row in report["passages"]] == ["a#1"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], 2, "nothing to explain"),
        (["--query-id", "q"], 2, "--collection"),
        (["--collection", "SAMPLE"], 2, "There is no query"),
        (["보증금", "--collection", "SAMPLE"], 2, "--passage-id"),
        (["--collection", "SAMPLE", "--query-id", "nobody"], 1, "nobody"),
        (["보증금", "--collection", "SAMPLE", "--passage-id", "nothing"], 1, "nothing"),
        (["보증금", "--html", "x.html"], 2, "needs a passage"),
    ],
)
def test_what_is_missing_is_said(run, model_folder, arguments, code, word):
    given = [str(sample_folder()) if word == "SAMPLE" else word for word in arguments]
    answer = run("explain", "--model", model_folder, *given)
    assert answer.exit_code == code, answer.output
    assert word in answer.stderr
