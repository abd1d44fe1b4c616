"""Embeddings come back as they were written, in both forms, and a file that is none is refused with the reason."""

import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dense_ko.embedding import read_embeddings, write_embeddings
from dense_ko.embedding.arrays import files_of
from retrieval_ko.errors import DataError

IDS = ["a", "LAW_000086_제3조의2", "c"]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)
NAME = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)


def write(folder, file_format, ids=IDS, vectors=VECTORS, size=2):
    files = files_of(folder, "some", file_format)

    def blocks():
        return ((ids[start : start + size], vectors[start : start + size]) for start in range(0, len(ids), size))

    write_embeddings(files, blocks, count=len(ids), longest_id=max(map(len, ids)), dimensions=vectors.shape[1])
    return files


@pytest.mark.parametrize("file_format", ["npz", "npy"])
@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_what_is_written_is_read(tmp_path, file_format, size):
    for file in [*write(tmp_path, file_format, size=size), tmp_path / "some"]:
        ids, vectors = read_embeddings(file)
        assert ids.tolist() == IDS
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, VECTORS)


@pytest.fixture(scope="module")
def law_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("law")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ids=st.lists(NAME, min_size=1, max_size=8, unique=True), size=st.integers(1, 9), data=st.data())
def test_any_ids_come_back_whatever_the_blocks(law_folder, ids, size, data):
    number = st.floats(width=32, allow_nan=False, allow_infinity=False)
    vectors = np.array(data.draw(st.lists(number, min_size=2 * len(ids), max_size=2 * len(ids))), dtype=np.float32).reshape(-1, 2)
    found_ids, found = read_embeddings(write(law_folder, "npz", ids, vectors, size)[0])
    assert found_ids.tolist() == ids
    np.testing.assert_array_equal(found, vectors)


def test_numpy_alone_reads_them_without_pickle(tmp_path):
    [npz] = write(tmp_path, "npz")
    with np.load(npz, allow_pickle=False) as archive:
        assert set(archive.files) == {"ids", "embeddings"}
        assert archive["ids"].dtype.kind == "U"
    id_file, vector_file = write(tmp_path, "npy")
    assert (id_file.name, vector_file.name) == ("some_ids.npy", "some_embeds.npy")
    assert np.load(id_file, allow_pickle=False).tolist() == IDS
    np.testing.assert_array_equal(np.load(vector_file, allow_pickle=False), VECTORS)


def test_vectors_may_stay_on_disk(tmp_path):
    _, vectors = read_embeddings(write(tmp_path, "npy")[1], memory_map=True)
    assert isinstance(vectors, np.memmap)


def test_the_blocks_change_no_byte(tmp_path):
    one, other = (write(tmp_path / str(size), "npz", size=size)[0].read_bytes() for size in (1, 3))
    assert one == other


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"ids": np.array(["a", object()], dtype=object), "embeddings": VECTORS[:2]}, "holds pickled objects"),
        ({"names": np.array(IDS), "embeddings": VECTORS}, "but no array 'ids'"),
        ({"ids": np.array(IDS), "embeds": VECTORS}, "but no array 'embeddings'"),
        ({"ids": np.array(IDS[:2]), "embeddings": VECTORS}, "2 ids and 3 embeddings"),
        ({"ids": np.array(["a", "b", "a"]), "embeddings": VECTORS}, "the id 'a' stands there twice"),
        ({"ids": np.arange(3), "embeddings": VECTORS}, "not a row of text"),
        ({"ids": np.array(IDS), "embeddings": VECTORS[0]}, "not [texts, dimensions]"),
        ({"ids": np.array(IDS), "embeddings": VECTORS.astype(int)}, "not [texts, dimensions]"),
        ({"ids": np.array(IDS), "embeddings": np.where(VECTORS == 5, np.nan, VECTORS)}, "the embedding of 'LAW_000086_제3조의2'"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, arrays, complaint):
    with pytest.raises(DataError) as failure:
        read_embeddings(save(tmp_path / "some.npz", **arrays))
    assert complaint in str(failure.value)


def test_vectors_in_other_precisions_are_read_as_float32(tmp_path):
    _, vectors = read_embeddings(save(tmp_path / "some.npz", ids=np.array(IDS), embeddings=VECTORS.astype(np.float16)))
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_file_that_is_cut_off_is_refused(tmp_path, share):
    [npz] = write(tmp_path, "npz")
    content = npz.read_bytes()
    npz.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="cannot be read"):
        read_embeddings(npz)


def test_a_damaged_entry_is_refused(tmp_path):
    [npz] = write(tmp_path, "npz")
    with zipfile.ZipFile(npz) as archive:
        place = archive.getinfo("embeddings.npy").header_offset + 200
    content = bytearray(npz.read_bytes())
    content[place] ^= 0xFF
    npz.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_embeddings(npz)


def test_half_of_a_pair_is_refused(tmp_path):
    id_file, vector_file = write(tmp_path, "npy")
    vector_file.unlink()
    with pytest.raises(DataError, match=r"some_embeds\.npy is missing beside some_ids\.npy"):
        read_embeddings(id_file)


@pytest.mark.parametrize("name", ["nothing.npz", "nothing", "nothing_embeds.npy"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(DataError, match="There are no embeddings"):
        read_embeddings(tmp_path / name)
