import gzip
import io
import tarfile

import pytest
import zstandard

from retrieval_ko.compressed import is_archive, opened, unpacked
from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl

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
def test_an_archive_is_unpacked_and_tidied_away(tmp_path, suffix):
    archive = tmp_path / f"laws{suffix}"
    pack = PACKERS.get({".tgz": ".gz"}.get(suffix, suffix.removeprefix(".tar")), bytes)
    archive.write_bytes(pack(tar_of({"kr/민법/법률.md": b"one", "b.md": b"two"})))
    assert is_archive(archive)
    with unpacked(archive) as (folder, problem):
        assert not problem
        assert (folder / "kr/민법/법률.md").read_bytes() == b"one"
    assert not folder.exists()


def test_what_stands_before_the_damage_of_an_archive_is_there(tmp_path):
    archive = tmp_path / "laws.tar.zst"
    files = {f"{number}.md": f"{number * 7919 % 1000003} ".encode() * 9000 for number in range(60)}
    packed = zstandard.compress(tar_of(files))
    archive.write_bytes(packed[: len(packed) // 2])
    with unpacked(archive) as (folder, problem):
        assert "laws.tar.zst" in problem
        assert "cut off" in problem
        assert 0 < len(list(folder.iterdir())) < len(files)


def test_an_archive_never_writes_outside_its_folder(tmp_path):
    archive = tmp_path / "evil.tar"
    archive.write_bytes(tar_of({"../outside.md": b"!"}))
    with pytest.raises(DataError, match="outside"), unpacked(archive):
        pass
    assert not (tmp_path / "outside.md").exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"not an archive at all " * 90])
def test_an_archive_without_a_file_is_an_error(tmp_path, content):
    (tmp_path / "none.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"none\.tar"), unpacked(tmp_path / "none.tar"):
        pass
