"""Evaluate models on collections and write docs/EVALUATION_REPORT.md: `make report COLLECTIONS="DIR …" MODEL="DIR …" DENSE="DIR …"`.

For each collection `sparse-ko evaluate` runs in a process of its own, so that memory is given back; its folder is kept below --work, with
figures, per-query values and failure cases. Folders of `sparse-ko benchmark --out` add what the node showed.
The page holds each table with the command that made it, the commit and the hashes of the data.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opensearch_ko.benchmark.folder import REPORT
from opensearch_ko.benchmark.sections import sections as benchmark_sections
from retrieval_ko.evaluation.markdown_report import comparison_table, group_tables, quality_table
from retrieval_ko.files import read_json, write_text
from retrieval_ko.markdown import cell, table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "EVALUATION_REPORT.md"
SHOWN_TERMS, SHOWN_CASES = 12, 4
ROLES = ("relevant", "rival")
METRICS = ("ndcg@10", "mrr@10", "map@100", "recall@10", "recall@100", "recall@1000", "p@10")


def main() -> None:
    """Read the options, evaluate, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--collection", action="append", required=True, help="a collection folder, or DIR@SPLIT; several are several sections"
    )
    parser.add_argument(
        "--model", action="append", default=[], help="a model folder; NAME=DIR or NAME@SPLIT=DIR evaluates it in that section alone"
    )
    parser.add_argument("--dense", action="append", default=[], help="a bi-encoder's folder; NAME=DIR as with --model")
    parser.add_argument("--split", default="dev")
    parser.add_argument(
        "--benchmark", action="append", default=[], help="a folder of `sparse-ko benchmark --out`; several are several sections"
    )
    parser.add_argument("--synonyms", type=Path, help="a test list of Korean–English terms")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "evaluations", help="where the evaluations' folders and kept weights lie"
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--page-only", action="store_true", help="write the page from what earlier evaluations left below --work")
    parser.add_argument("--bm25", action="append", default=[], help="NAME=ROWS: BM25's rows on a collection: wiki-ko=bigram,whitespace")
    options = parser.parse_args()
    sections = []
    for named in options.collection:
        collection, _, split = named.partition("@")
        asked = Asked(Path(collection), split or options.split, options)
        folder = options.work / f"{asked.collection.name}-{asked.split}"
        _run(asked.command(folder), "sparse_ko_cli", options)
        sections.append(section(read_json(folder / "evaluation.json")) + picture(folder, options.page))
        for dense in asked.named_here(options.dense):
            beside = folder.with_name(f"{folder.name}-dense")
            _run(asked.dense_command(dense, beside), "sparse_ko_cli.lexdpr", options)
            sections.append(section(read_json(beside / "evaluation.json"), ": dense and hybrids") + picture(beside, options.page))
    sections += [cluster_section(read_json(Path(folder) / REPORT)) for folder in options.benchmark]
    write_text(options.page, page(sections))
    sys.stdout.write(f"{options.page}\n")


def _run(command: Sequence[str], program: str, options: argparse.Namespace) -> None:
    if options.page_only:
        return
    sys.stderr.write(f"{shlex.join(command)}\n")
    done = subprocess.run([sys.executable, "-m", program, *command[1:]], cwd=ROOT, check=False, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(done.returncode)


class Asked(NamedTuple):
    """One section of the page: a collection's split, and what is evaluated there."""

    collection: Path
    split: str
    options: argparse.Namespace

    def named_here(self, values: Sequence[str]) -> list[str]:
        """Return what of an option's values is for this section: those without a name before them, and those with its own."""
        here = {self.collection.name: self.options.split == self.split, f"{self.collection.name}@{self.split}": True}
        named = [value.partition("=") for value in values]
        return [value if equals else name for name, equals, value in named if not equals or here.get(name)]

    def command(self, folder: Path) -> list[str]:
        """Return the command that compares sparse encoders here, and writes `folder`."""
        command = ["sparse-ko", "evaluate", "--collection", str(self.collection), "--split", self.split]
        for model in self.named_here(self.options.model):
            command += ["--model", model]
        if self.options.synonyms:
            command += ["--synonyms", str(self.options.synonyms)]
        alone = [] if self.named_here(self.options.dense) else ["--hybrid"]  # else hybrids stand in the section of the bi-encoder
        return [*command, *alone, *self._rows(), *self._kept(), "--out", str(folder)]

    def dense_command(self, dense: str, folder: Path) -> list[str]:
        """Return the command that compares a bi-encoder and hybrids here; the sparse encoder is the last one that is named."""
        command = ["lex-dpr", "evaluate", "--collection", str(self.collection), "--split", self.split, "--model", dense]
        for model in self.named_here(self.options.model)[-1:]:
            command += ["--sparse", model, *self._kept()]
        return [*command, *self._rows(), "--out", str(folder)]

    def _rows(self) -> list[str]:
        return [word for rows in self.named_here(self.options.bm25)[-1:] for word in ("--bm25", rows)]

    def _kept(self) -> list[str]:
        return ["--cache", str(self.options.work / "weights")]


def picture(folder: Path, page: Path) -> str:
    """Copy an evaluation's plot of quality beside the page, and return the line that shows it."""
    plot = folder / "quality.png"
    if not plot.is_file():
        return ""
    beside = page.with_suffix("")
    beside.mkdir(exist_ok=True)
    shutil.copyfile(plot, beside / f"{folder.name}.png")
    return f"\n![nDCG@10 with 95 % bootstrap intervals]({beside.name}/{folder.name}.png)\n"


def page(sections: Sequence[str]) -> str:
    """Return the whole page."""
    return (
        "# Evaluation report\n\nWritten by `make report`; do not edit. What each number means, and what may be compared: "
        "[evaluation.md](evaluation.md).\n\n" + "\n".join(sections)
    )


def section(report: Mapping[str, Any], what: str = "") -> str:
    """Return one collection's part of the page.

    Args:
        report: what evaluation.json holds.
        what: stands behind collection and split in the heading.
    """
    facts = report["conditions"]
    shown = [_short(word) for word in shlex.split(facts["command"])]  # of paths the last part, since the page is read elsewhere
    encoders = [row for row in report["systems"] if "dims" in row and "top_terms" in row]
    parts = [
        f"## {report['collection']}, {report['split']}{what}\n",
        f"{report['queries']:,} queries, {report['passages']:,} passages, judged at the {report['judged']}; exact search in process.\n",
        quality_table(report, METRICS),
        comparison_table(report) if report["comparisons"] else "",
        group_tables(report),
        _encoders(encoders) if encoders else "",
        *map(_terms, encoders),
        _synonyms(report.get("synonyms", {})),
        *(_losses(system, cases) for system, cases in report.get("cases", {}).items()),
        f"    {shlex.join(shown)}\n",
        f"Commit `{facts['git_commit']}`{_changes()}; {facts['processor']}, {facts['cores']} cores, "
        f"torch {facts['versions'].get('torch', 'not used')}. Data (SHA-256): "
        + ", ".join(f"{name} `{value[:16]}…`" for name, value in report["data"].items() if name != "sha256")
        + ".\n",
    ]
    return "\n".join(part for part in parts if part)


def cluster_section(report: Mapping[str, Any]) -> str:
    """Return what a benchmark showed on a node; `report` is what benchmark.json holds."""
    conditions = dict(report["conditions"])
    if "command" in conditions:  # of a folder its name: what lies above it is of one machine
        words = shlex.split(conditions["command"])
        conditions["command"] = shlex.join(_short(word) if Path(word).is_absolute() else word for word in words)
    report = {**report, "conditions": conditions}
    texts = [f"## In OpenSearch: {conditions['collection']}, {conditions['split']}\n"]
    for part in benchmark_sections(report):
        texts.append(f"### {part.heading}\n")
        texts += [f"{part.text}\n"] if part.text else []
        texts += [table(part.header, part.rows)] if part.rows else []
    return "\n".join(texts)


def _short(word: str) -> str:
    """Return a path's last part, with the run's name before it where it is a run's model."""
    path = Path(word)
    if "/" not in word:
        return word
    return f"{path.parent.name}/{path.name}" if path.name == "model" else path.name


def _changes() -> str:
    """Say where the code that ran is not that of the commit."""
    status = ["git", "status", "--porcelain", "--untracked-files=no", "--", "*.py"]
    done = subprocess.run(status, cwd=ROOT, capture_output=True, text=True, check=False)
    return " with changes that are not committed" if done.stdout.strip() else ""


def _encoders(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = []
    for row in rows:
        times, dims, shares = row["latency"], row["dims"], row["function_share"]
        top, share = row["top_terms"][0] if row["top_terms"] else ("", 0.0)
        cells.append(
            [
                row["system"],
                *(f"{dims[side]['p50']:.0f} / {dims[side]['p90']:.0f} / {dims[side]['max']:.0f}" for side in ("passages", "queries")),
                f"{shares['passages']['share']:.1%}",
                f"`{top}` {share:.0%}",
                f"{times['encode_ms']['p50']:.1f} / {times['encode_ms']['p99']:.1f}",
                f"{times['search_ms']['p50']:.1f} / {times['search_ms']['p99']:.1f}",
                f"{times['passages_per_second']:,.0f}",
            ]
        )
    header = [
        "encoder",
        "dims a passage, p50 / p90 / max",
        "dims a query",
        "weight on particles and endings",
        "most frequent term",
        "ms to read a query, p50 / p99",
        "ms to search, p50 / p99",
        "passages a second",
    ]
    return table(header, cells)


def _terms(row: Mapping[str, Any]) -> str:
    most = ", ".join(f"`{cell(token)}` {share:.0%}" for token, share in row["top_terms"][:SHOWN_TERMS])
    cut = row["over_limit"]["passages"]
    return f"{row['system']}: the terms that most passages use, {most}. {cut:.1%} of the passages are longer than it reads.\n"


def _losses(system: str, cases: Mapping[str, Any]) -> str:
    """Return where an encoder loses most, each with the terms that decide: what the rival has more of than the answer, weight × weight."""
    rows = []
    for case in cases["losses"][:SHOWN_CASES]:
        sides = {side["role"]: side for side in case["terms"]}
        if len(sides) < 2:
            continue
        has = {token: asked * offered for token, asked, offered in sides["relevant"]["terms"]}
        more = [(asked * offered - has.get(token, 0.0), token, token in has) for token, asked, offered in sides["rival"]["terms"]]
        decide = [
            f"`{cell(token)}` +{gap:.1f}{'' if known else ' (not in the answer)'}"
            for gap, token, known in sorted(more, reverse=True)[:4]
            if gap > 0
        ]
        values = " / ".join(f"{value:.2f}" for value in case["ndcg@10"].values())
        texts = [cell(textwrap.shorten(text, 110, placeholder=" …")) for text in (case["query"], *(sides[role]["title"] for role in ROLES))]
        rows.append([*texts, values, ", ".join(decide)])
    header = [f"{system}: where it loses most", "the answer", "what it put first", f"nDCG@10, itself / {cases['against']}", "why"]
    return table(header, rows) if rows else ""


def _synonyms(found: Mapping[str, Any]) -> str:
    rows = [
        [
            system,
            str(facts["pairs"]),
            f"{facts['cosine']:.3f}",
            f"{facts['control_cosine']:.3f}",
            *(f"{facts[way]['mrr']:.3f} / {facts[way]['recall@10']:.3f}" for way in ("korean_to_english", "english_to_korean")),
            *(f"{facts['translation_in_top'][way]['20']['all']:.1%}" for way in ("korean_to_english", "english_to_korean")),
        ]
        for system, facts in found.items()
    ]
    header = [
        *("term pairs", "pairs", "cosine", "control", "ko → en, MRR / R@10", "en → ko, MRR / R@10"),
        *("English in the top 20 of the Korean", "Korean in the top 20 of the English"),
    ]
    return table(header, rows) if rows else ""


if __name__ == "__main__":
    main()
