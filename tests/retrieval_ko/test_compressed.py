import gzip
import io
import tarfile

import pytest
import zstandard

from retrieval_ko.compressed import is_archive, opened, opened_archive
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, read_lines

LINES = "".join(f'{{"_id": "{number}", "text": "보증금 {number}"}}\n' for number in range(5000)).encode()
PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress}


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_compressed_file_reads_like_the_file(tmp_path, suffix):
    (tmp_path / "plain.jsonl").write_bytes(LINES)
    (tmp_path / f"packed.jsonl{suffix}").write_bytes(PACKERS[suffix](LINES))
    assert list(read_jsonl(tmp_path / f"packed.jsonl{suffix}")) == list(read_jsonl(tmp_path / "plain.jsonl"))


def test_several_frames_of_zstandard_are_one_file(tmp_path):
    frames = [zstandard.compress(part) for part in (b"one\n", b"", b"two\n")]
    (tmp_path / "frames.zst").write_bytes(b"".join(frames))
    with opened(tmp_path / "frames.zst") as file:
        assert file.read() == b"one\ntwo\n"


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_compressed_file_that_is_cut_off_is_an_error(tmp_path, suffix, kept):
    packed = PACKERS[suffix](LINES)
    (tmp_path / f"cut{suffix}").write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(DataError, match=r"cut.*damaged or cut off"):
        list(read_jsonl(tmp_path / f"cut{suffix}"))


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_only_pretends_to_be_compressed_is_an_error(tmp_path, suffix):
    (tmp_path / f"text{suffix}").write_bytes(LINES)
    with pytest.raises(DataError, match="damaged or cut off"):
        list(read_jsonl(tmp_path / f"text{suffix}"))


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.zst"])
def test_the_files_of_an_archive_are_read_in_any_order(tmp_path, suffix):
    path = tmp_path / f"laws{suffix}"
    pack = PACKERS.get({".tgz": ".gz"}.get(suffix, suffix.removeprefix(".tar")), bytes)
    path.write_bytes(pack(tar_of({"kr/민법/법률.md": "하나\n둘".encode(), "b.md": b""})))
    assert is_archive(path)
    with opened_archive(path) as archive:
        assert not archive.problem
        first, second = archive.files()
        assert (str(second), second.suffix) == (f"{path}:b.md", ".md")
        assert list(read_lines(second)) == []
        assert list(read_lines(first)) == [(1, "하나"), (2, "둘")]


def test_a_defect_in_an_archived_file_names_archive_and_file(tmp_path):
    path = tmp_path / "laws.tar"
    path.write_bytes(tar_of({"kr/a.md": b"one\n\xff\n"}))
    with opened_archive(path) as archive, pytest.raises(DataError, match=r"laws\.tar:kr/a\.md, line 2, byte 1: not valid UTF-8"):
        list(read_lines(archive.files()[0]))


@pytest.mark.parametrize("pack", [bytes, zstandard.compress], ids=["plain", "compressed"])
def test_what_stands_before_the_damage_of_an_archive_is_there(tmp_path, pack):
    path = tmp_path / ("laws.tar" if pack is bytes else "laws.tar.zst")
    files = {f"{number}.md": f"{number * 7919 % 1000003} ".encode() * 9000 for number in range(60)}
    packed = pack(tar_of(files))
    path.write_bytes(packed[: len(packed) // 2])
    with opened_archive(path) as archive:
        assert path.name in archive.problem
        assert 0 < len(archive.files()) < len(files)
        for file in archive.files():
            assert archive.read(file) == files[file.name]


@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"not an archive at all " * 90])
def test_an_archive_without_a_file_is_an_error(tmp_path, content):
    (tmp_path / "none.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"none\.tar"), opened_archive(tmp_path / "none.tar"):
        pass


def test_a_folder_that_is_called_like_an_archive_is_a_folder(tmp_path):
    (tmp_path / "laws.tar").mkdir()
    assert not is_archive(tmp_path / "laws.tar")
