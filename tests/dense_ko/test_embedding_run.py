"""A run writes the same bytes whether or not it was stopped on the way, and mixes nothing that does not belong together."""

import json
import tracemalloc

import numpy as np
import pytest

from dense_ko.embedding import EmbedSettings, embed_file, read_embeddings
from retrieval_ko.errors import DataError, ModelError, UsageError

TEXTS = {f"p{number}": "전세 보증금 " * (number % 5 + 1) + str(number) for number in range(23)}


class Letters:
    """An encoder that counts characters, and what it was asked."""

    def __init__(self, dimensions=8, fail_at=None, broken=None):
        self.dimensions, self.fail_at, self.broken = dimensions, fail_at, broken
        self.asked = []

    def encode_queries(self, texts, batch_size=64, on_progress=None):
        return -self.encode_passages(texts, batch_size, on_progress)

    def encode_passages(self, texts, batch_size=64, on_progress=None):
        if self.fail_at is not None and len(self.asked) == self.fail_at:
            raise KeyboardInterrupt
        self.asked.append(len(texts))
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            np.add.at(row, [ord(letter) % self.dimensions for letter in text[:100]], 1)
            if text == self.broken:
                row[0] = np.nan
        if on_progress:
            on_progress(len(texts))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in TEXTS.items()))
    return path


def settings(**values):
    return EmbedSettings(**({"kind": "passage", "prefix": "some", "shard_size": 5} | values))


def run(source, folder, encoder=None, identity=None, resume=False, on_progress=None, **values):
    encoder = encoder or Letters()
    return embed_file(
        lambda: (encoder, identity or {"name": "letters"}), source, folder, settings(**values), resume=resume, on_progress=on_progress
    )


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_text_has_its_vector_in_the_order_of_the_file(source, tmp_path):
    done = run(source, tmp_path / "out")
    ids, vectors = read_embeddings(tmp_path / "out" / "some.npz")
    assert ids.tolist() == list(TEXTS)
    np.testing.assert_array_equal(vectors, Letters().encode_passages(list(TEXTS.values())))
    assert (done.texts, done.dimensions, done.encoded) == (23, 8, 23)
    assert done.as_json()["files"] == [str(tmp_path / "out" / "some.npz")]


def test_queries_are_encoded_as_queries(source, tmp_path):
    run(source, tmp_path, kind="query")
    _, vectors = read_embeddings(tmp_path / "some.npz")
    np.testing.assert_array_equal(vectors, Letters().encode_queries(list(TEXTS.values())))


def test_both_forms_hold_the_same(source, tmp_path):
    for file_format in ("npz", "npy"):
        run(source, tmp_path / file_format, file_format=file_format)
    assert set(content(tmp_path / "npy")) == {"some_ids.npy", "some_embeds.npy", "some.embeddings.json"}
    for one, other in zip(*(read_embeddings(tmp_path / file_format / "some") for file_format in ("npz", "npy")), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_card_says_what_the_vectors_were_made_of(source, tmp_path):
    run(source, tmp_path / "out", identity={"name": "letters", "template": "e5"})
    card = json.loads((tmp_path / "out" / "some.embeddings.json").read_text())
    assert (card["texts"], card["dimensions"]) == (23, 8)
    assert card["made_of"]["model"] == {"name": "letters", "template": "e5"}
    assert card["made_of"]["input"]["type"] == "passage"


@pytest.mark.parametrize("fail_at", [0, 1, 4])
@pytest.mark.parametrize("file_format", ["npz", "npy"])
def test_a_run_that_stopped_ends_with_the_same_bytes(source, tmp_path, fail_at, file_format):
    run(source, tmp_path / "whole", file_format=file_format)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "stopped", Letters(fail_at=fail_at), file_format=file_format)
    assert not any(name.endswith((".npz", ".npy", ".json")) for name in content_names(tmp_path / "stopped"))
    again = Letters()
    done = run(source, tmp_path / "stopped", again, resume=True, file_format=file_format)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")
    assert sum(again.asked) == done.encoded == 23 - 5 * fail_at


def content_names(folder):
    return [path.name for path in folder.iterdir()]


def test_resuming_with_nothing_begun_begins(source, tmp_path):
    assert run(source, tmp_path / "out", resume=True).encoded == 23


def test_resuming_what_has_ended_encodes_nothing(source, tmp_path):
    run(source, tmp_path / "out")
    before = content(tmp_path / "out")
    done = run(source, tmp_path / "out", Letters(fail_at=0), resume=True)
    assert (done.encoded, done.texts) == (0, 23)
    assert content(tmp_path / "out") == before


def test_resuming_what_has_ended_and_was_changed_is_refused(source, tmp_path):
    run(source, tmp_path / "out")
    (tmp_path / "out" / "some.npz").write_bytes(b"something else")
    with pytest.raises(UsageError, match="not as the run"):
        run(source, tmp_path / "out", resume=True)


def test_without_resume_a_finished_run_is_made_anew(source, tmp_path):
    run(source, tmp_path / "out")
    assert run(source, tmp_path / "out", Letters(dimensions=4)).dimensions == 4


def test_an_unfinished_run_is_not_thrown_away(source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, Letters(fail_at=2))
    with pytest.raises(UsageError, match="holds an unfinished run") as failure:
        run(source, tmp_path)
    assert "--resume" in failure.value.remedy


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"identity": {"name": "other"}}, "model.name"),
        ({"identity": {"name": "letters", "template": "bge"}}, "model.template"),
        ({"batch_size": 7}, "batch_size"),
        ({"shard_size": 6}, "shard_size"),
        ({"kind": "query"}, "input.type"),
    ],
)
@pytest.mark.parametrize("ended", [False, True])
def test_a_run_goes_on_as_it_was_begun_or_not_at_all(source, tmp_path, change, what, ended):
    if ended:
        run(source, tmp_path)
    else:
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path, Letters(fail_at=2))
    with pytest.raises(UsageError, match=f"begun with {what}"):
        run(source, tmp_path, resume=True, **change)


def test_a_changed_input_is_not_mixed_with_what_was_encoded(source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, Letters(fail_at=2))
    before = source.read_text()
    source.write_text(before.replace("보증금", "월세"))
    with pytest.raises(UsageError, match=r"input\.sha256"):
        run(source, tmp_path, resume=True)


def test_a_damaged_shard_is_named_with_the_way_out(source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, Letters(fail_at=2))
    shard = tmp_path / ".some.shards" / "000001.npz"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=r"000001\.npz") as failure:
        run(source, tmp_path, resume=True)
    assert f"rm {shard}" in failure.value.remedy
    shard.unlink()
    assert run(source, tmp_path, resume=True).encoded == 18


def test_a_vector_that_is_no_number_is_named_by_its_text(source, tmp_path):
    with pytest.raises(ModelError, match="vector of 'p11'"):
        run(source, tmp_path / "out", Letters(broken=TEXTS["p11"]))


def test_a_wrong_line_at_the_end_is_found_before_the_model_is_loaded(source, tmp_path):
    source.write_text(source.read_text() + '{"_id": "p0", "text": "전세"}\n')

    def load():
        raise AssertionError("the model was loaded")

    with pytest.raises(DataError, match="line 24: the id 'p0' was used before, in line 1"):
        embed_file(load, source, tmp_path / "out", settings())
    assert not (tmp_path / "out").exists()


def test_a_shard_is_all_that_is_in_memory(tmp_path):
    source, letters, texts = tmp_path / "large.jsonl", 20_000, 200
    with source.open("w") as out:
        for number in range(texts):
            out.write(json.dumps({"_id": f"p{number}", "text": f"{number} " + "a" * letters}) + "\n")
    tracemalloc.start()
    try:
        run(source, tmp_path / "out", shard_size=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < texts * letters / 2  # the file has 4 MB, a shard 0.2


def test_progress_ends_at_the_number_of_texts(source, tmp_path):
    seen = []
    run(source, tmp_path / "out", on_progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("encoding", 23, 23)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_the_output_folder_may_not_be_a_file(source):
    with pytest.raises(UsageError, match="is a file"):
        run(source, source)


@pytest.mark.parametrize("prefix", ["", "a/b", ".hidden", "a b", ".."])
def test_a_prefix_is_the_beginning_of_a_files_name(prefix):
    with pytest.raises(ValueError, match="prefix"):
        settings(prefix=prefix)
