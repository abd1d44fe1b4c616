"""What a vocabulary, its vectors and a masked language model are learnt from: files and collections, read as a stream.

Of a collection only passages, the queries of train and the synonym pairs are read. A query of dev or test is never seen, in no
scheme of splits: what has chosen the pieces has been trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_jsonl, read_lines, sha256
from retrieval_ko.pairs.splits import part_of

Kind = Literal["passages", "queries", "synonyms", "lines"]
Want = Literal["everything", "passages"]


@dataclass(frozen=True)
class TextFile:
    """A file that texts are read from.

    Args:
        path: JSON lines, or plain text; `.zst` and `.gz` are decompressed on the way.
        name: what a card calls it: the collection's folder and the file, never a path of one machine.
        kind: what a line is.
        allowed: the ids of the queries that may be read; None: every line.
    """

    path: Path
    name: str
    kind: Kind
    allowed: frozenset[str] | None = None

    def texts(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, texts of the line): a passage is one text, a synonym pair two, a query of dev none.

        Raises:
            DataError: the file is missing or damaged, or a line holds no text; names file and line.
        """
        if self.kind == "lines":
            yield from ((number, [line] if line.strip() else []) for number, line in read_lines(self.path))
            return
        for number, row in read_jsonl(self.path):
            if self.allowed is not None and str(row.get("_id", row.get("id"))) not in self.allowed:
                yield number, []
            else:
                yield number, _texts_of(row, self.path, number)


def _texts_of(row: dict[str, Any], path: Path, number: int) -> list[str]:
    if isinstance(row.get("ko"), str) and isinstance(row.get("en"), str):
        return [row["ko"], row["en"]]
    title, text = row.get("title") or "", row.get("text")
    if not isinstance(text, str) or not isinstance(title, str):
        raise DataError(
            f"{path}, line {number}: holds no text.",
            'Expected {"text": "…", "title"?: "…"} or a synonym pair {"ko": "…", "en": "…"} a line.',
        )
    return [f"{title}\n{text}" if title else text]


def text_files(sources: Sequence[Path], want: Want = "everything") -> list[TextFile]:
    """Return the files that `sources` stand for.

    Args:
        sources: files (JSON lines, plain text, compressed or not) and collection folders.
        want: of a collection: "passages" leaves queries and synonyms out.

    Raises:
        DataError: a source does not exist, is no collection, or is the query file of one (which holds dev and test too).
    """
    files: list[TextFile] = []
    for source in map(Path, sources):
        if source.is_dir():
            files += _of_collection(source, want)
        elif source.is_file():
            files.append(_single(source))
        else:
            raise DataError(f"There is no file or collection {source}.")
    return files


def _single(source: Path) -> TextFile:
    stem = source.name.removesuffix(".zst").removesuffix(".gz")
    if stem == "queries.jsonl" and (source.parent / "qrels").is_dir():
        raise DataError(
            f"{source} holds the queries of dev and test too, from which nothing may be learnt.",
            f"Name the collection instead, of which only the queries of train are read: {source.parent}",
        )
    return TextFile(source, source.name, "passages" if stem.endswith((".jsonl", ".json")) else "lines")


def _of_collection(folder: Path, want: Want) -> list[TextFile]:
    if not (folder / "corpus.jsonl").is_file():
        raise DataError(f"{folder} is no collection: it has no corpus.jsonl.", "Name a collection's folder, or a file of texts.")
    name = folder.resolve().name
    files = [TextFile(folder / "corpus.jsonl", f"{name}/corpus.jsonl", "passages")]
    if want == "passages":
        return files
    if (folder / "queries.jsonl").is_file() and (queries := train_queries(folder)):
        files.append(TextFile(folder / "queries.jsonl", f"{name}/queries.jsonl", "queries", queries))
    if (folder / "synonyms.jsonl").is_file():
        files.append(TextFile(folder / "synonyms.jsonl", f"{name}/synonyms.jsonl", "synonyms"))
    return files


def train_queries(folder: Path) -> frozenset[str]:
    """Return the ids of the queries that a train split of the collection judges and no other split does, in no scheme.

    What a rule dropped (`dropped.tsv`) counts as neither: another rule may train on it.
    """
    train: set[str] = set()
    held_out: set[str] = set()
    for split in sorted((folder / "qrels").glob("*.tsv")):
        if split.stem.rpartition("-")[2] == "dropped":
            continue
        named = part_of(split.stem)
        judged = {
            line.split("\t")[0] for number, line in read_lines(split) if line.strip() and not (number == 1 and line.startswith("query-id"))
        }
        (train if named and named[1] == "train" else held_out).update(judged)
    return frozenset(train - held_out)


def read_texts(files: Sequence[TextFile], share: float = 1.0, on_progress: Callable[[int], None] | None = None) -> Iterator[str]:
    """Yield the texts of `files`, in order.

    Args:
        files: as `text_files` gives them.
        share: of the lines, drawn by hash: which ones they are depends on nothing but the file's name and their number.
        on_progress: told how many lines have been read, drawn or not.

    Raises:
        DataError: a file is damaged; names file and line.
    """
    done = 0
    for file in files:
        for number, texts in file.texts():
            done += 1
            if on_progress and done % 64 == 0:
                on_progress(done)
            if share >= 1 or drawn(f"{file.name}:{number}", share):
                yield from texts
    if on_progress:
        on_progress(done)


def drawn(name: str, share: float) -> bool:
    """Tell whether what bears this name belongs to a share of everything, by a hash of the name."""
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    return number < share * 2**64


def count_lines(files: Sequence[TextFile]) -> int:
    """Return the lines that hold something; what a progress bar counts up to."""
    return sum(1 for file in files for _, line in read_lines(file.path) if file.kind == "lines" or line.strip())


def hashes(files: Sequence[TextFile]) -> dict[str, str]:
    """Return name → SHA-256 of each file."""
    return {file.name: sha256(file.path) for file in files}
