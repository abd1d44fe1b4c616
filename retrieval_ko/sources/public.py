"""Public sets and own files to a collection, whatever their format."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from retrieval_ko.collection import OWN_FILES
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.files import check_replaceable, folder_sha256, read_json, sha256
from retrieval_ko.sources import judged_folders, squad, tabular
from retrieval_ko.sources.cache import cached_collection, default_cache
from retrieval_ko.sources.hub import PREFIX, HubName, read_hub
from retrieval_ko.sources.report import SourceReport
from retrieval_ko.sources.writing import CollectionWriter, new_collection


class Format(StrEnum):
    """How a set is stored; KorQuAD and KLUE-MRC share one shape, MIRACL and Mr.TyDi another."""

    AUTO = "auto"
    BEIR = "beir"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    KORQUAD = "korquad"
    KLUE_MRC = "klue-mrc"
    MIRACL = "miracl"
    MRTYDI = "mrtydi"


_KIND = {
    Format.JSONL: "table",
    Format.CSV: "table",
    Format.PARQUET: "table",
    Format.KORQUAD: "squad",
    Format.KLUE_MRC: "squad",
    Format.MIRACL: "topics",
    Format.MRTYDI: "topics",
    Format.BEIR: "beir",
}

_LICENCES = {
    Format.KORQUAD: ("CC BY-ND 2.0 KR (KorQuAD)", "KorQuAD 1.0"),
    Format.KLUE_MRC: ("CC BY-SA 4.0 (KLUE)", "KLUE-MRC"),
    Format.MIRACL: ("Apache-2.0 (MIRACL); text of Wikipedia CC BY-SA 3.0", "MIRACL"),
    Format.MRTYDI: ("Apache-2.0 (Mr.TyDi); text of Wikipedia CC BY-SA 3.0", "Mr.TyDi"),
}


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What the user said about a set.

    Args:
        split: the split that questions belong to where the files do not say it, and the split that is loaded from the hub.
        title_queries: whether titles become queries; None: for news, that is where there are titles and dates and no questions.
    """

    format: Format = Format.AUTO
    columns: tabular.Columns = field(default_factory=tabular.Columns)
    split: str = "train"
    title_queries: bool | None = None


def import_source(source: str, out: Path, report: SourceReport, settings: ImportSettings, cache: Path | None = None) -> None:
    """Write a file, a folder or a set on the hub as a collection.

    Args:
        source: a path, or hub:OWNER/NAME[:CONFIG][@REVISION].
        out: the collection folder.
        report: gets counts and problems.
        settings: what the user said about it.
        cache: where converted sets are kept; None: the user's cache for sets of the hub, none for local files.

    Raises:
        DataError: the source is missing or unreadable, or holds no passage; with `strict`, the first problem.
        UsageError: a column or a library is not there, or the format cannot be told.
    """
    check_replaceable(out, OWN_FILES, "collection.json")
    if source.startswith(PREFIX):
        hub_name = HubName.parse(source)
        place = cache or default_cache()
        key: dict[str, object] = {"hub": hub_name.key, "settings": _key(settings)}
        if (local := Path(hub_name.name)).is_dir():
            key["sha256"] = folder_sha256(local)
        cached_collection(place, key, out, report, lambda target: _write_hub(hub_name, target, report, settings, place))
        return
    path = Path(source)
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.", "A set of the hub is named with hub: before it, e.g. hub:klue/klue:mrc")
    found = detect(path) if settings.format is Format.AUTO else settings.format
    if cache is None:
        _write_local(path, found, out, report, settings)
        return
    content = folder_sha256(path) if path.is_dir() else sha256(path)
    key = {"file": path.name, "sha256": content, "format": found, "settings": _key(settings)}
    cached_collection(cache, key, out, report, lambda target: _write_local(path, found, target, report, settings))


def detect(source: Path) -> Format:
    """Tell the format of a file or folder by its name and layout.

    Raises:
        UsageError: it has none of those known here.
        DataError: a JSON file cannot be read.
    """
    name = source.name.lower()
    if source.is_dir():
        if any((source / f"corpus.jsonl{suffix}").exists() for suffix in ("", ".gz", ".zst")):
            return Format.BEIR
        if judged_folders.is_judged_folder(source):
            return Format.MIRACL
    elif name.endswith(".zip"):
        return Format.BEIR
    elif tabular.is_table(source):
        return Format.CSV if ".csv" in name or ".tsv" in name else Format.PARQUET if ".parquet" in name else Format.JSONL
    elif ".json" in name and squad.is_squad(value := read_json(source)):
        return Format.KLUE_MRC if "is_impossible" in str(value)[:100_000] else Format.KORQUAD
    known = ", ".join(kind for kind in Format if kind is not Format.AUTO)
    raise UsageError(f"{source}: cannot tell its format.", f"Name it with --format: {known}.")


def _key(settings: ImportSettings) -> dict[str, object]:
    return {**asdict(settings), "format": settings.format.value}


def _write_local(source: Path, form: Format, out: Path, report: SourceReport, settings: ImportSettings) -> None:
    licence, name = _LICENCES.get(form, ("", source.name))
    with new_collection(out, report, licence=licence, sources=[name]) as writer:
        match _KIND[form]:
            case "squad":
                squad.add_squad(source, writer, report, settings.split)
            case "topics":
                judged_folders.add_topics_folder(source, writer, report)
            case "beir":
                _add_beir(source, writer, report)
            case _:
                table = tabular.TableImport(
                    writer, report, name=source.name.split(".")[0], split=settings.split, title_queries=settings.title_queries
                )
                table.add(tabular.read_table(source, report), settings.columns)


def _add_beir(source: Path, writer: CollectionWriter, report: SourceReport) -> None:
    if source.is_dir():
        judged_folders.add_beir(source, writer, report)
        return
    with judged_folders.unzipped(source) as folder:
        judged_folders.add_beir(folder, writer, report)


def _write_hub(hub_name: HubName, out: Path, report: SourceReport, settings: ImportSettings, cache: Path) -> None:
    with new_collection(out, report, licence="", sources=[f"hub:{hub_name.name}"]) as writer:
        name = Path(hub_name.name).name
        table = tabular.TableImport(writer, report, name=name, split=settings.split, title_queries=settings.title_queries)
        table.add(read_hub(hub_name, settings.split, cache), settings.columns)
