"""The report folder: report.md to read, report.json to compute with, and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from retrieval_ko.collection_statistics.counting import CollectionStatistics, PairStatistics, SplitStatistics
from retrieval_ko.collection_statistics.distribution import Distribution
from retrieval_ko.collection_statistics.tables import GROUP_HEADER, LENGTH_HEADER, group_rows, length_rows, overview
from retrieval_ko.files import check_replaceable, new_folder, write_json, write_text
from retrieval_ko.markdown import table

OWN_FILES = {"report.md", "report.json", "lengths.png", "positives.png", "overlap.png"}


def write_statistics_report(statistics: CollectionStatistics, folder: Path) -> None:
    """Write the report folder, whole or not at all.

    Raises:
        UsageError: `folder` holds other files.
    """
    from retrieval_ko.collection_statistics.plots import write_histograms  # matplotlib loads for a second

    check_replaceable(folder, OWN_FILES, "report.json")
    groups: dict[str, SplitStatistics | PairStatistics] = {
        **statistics.splits,
        **{f"pairs/{name}": pairs for name, pairs in statistics.pairs.items()},
    }
    figures: dict[str, tuple[Mapping[str, Distribution], str, str]] = {
        "lengths": (
            {"passages": statistics.passage_characters, "queries": statistics.query_characters},
            "characters (the last bar: all above)",
            "texts",
        ),
        "positives": ({name: group.positives_per_query for name, group in groups.items()}, "positives of a query", "queries"),
        "overlap": (
            {name: group.overlap for name, group in groups.items()},
            f"share of a query's terms in its positives ({statistics.tokenization})",
            "queries",
        ),
    }
    with new_folder(folder) as target:
        drawn = []
        for name, (panels, label, counted) in figures.items():
            filled = {title: distribution for title, distribution in panels.items() if distribution.size}
            if filled:
                write_histograms(target / f"{name}.png", filled, label, counted)
                drawn.append(name)
        write_json(target / "report.json", statistics.as_json())
        write_text(target / "report.md", _markdown(statistics, drawn))


def _markdown(statistics: CollectionStatistics, drawn: Sequence[str]) -> str:
    captions = {"lengths": "Lengths", "positives": "Positives of a query", "overlap": "Overlap of queries and their positives"}
    parts = [
        f"# {statistics.name}\n",
        table(["", ""], overview(statistics)),
        "## Lengths\n",
        table(LENGTH_HEADER, length_rows(statistics)),
    ]
    if groups := group_rows(statistics):
        parts += [
            "## Splits and pairs\n",
            table(GROUP_HEADER, groups),
            "Overlap: the share of a query's distinct terms that its positives have, taken together; mean over the queries.\n",
        ]
    parts += [f"![{captions[name]}]({name}.png)\n" for name in drawn]
    if statistics.hardest:
        rows = [[query.text[:120], query.group, f"{share:.0%}", ", ".join(query.positives[:3])] for query, share in statistics.hardest]
        parts += ["## The hardest queries: the lowest overlap\n", table(["query", "from", "overlap", "positives"], rows)]
    return "\n".join(parts)
