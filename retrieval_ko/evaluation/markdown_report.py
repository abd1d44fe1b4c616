"""report.md: an evaluation for people, written from evaluation.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrieval_ko.evaluation.baselines import is_baseline
from retrieval_ko.markdown import cell, table

QUALITY = {
    "ndcg@10": "nDCG@10",
    "mrr@10": "MRR@10",
    "map@100": "MAP@100",
    "recall@10": "R@10",
    "recall@100": "R@100",
    "recall@1000": "R@1000",
    "p@10": "P@10",
    "ndcg@1": "nDCG@1",
    "ndcg@3": "nDCG@3",
    "ndcg@5": "nDCG@5",
}


def quality_table(report: Mapping[str, Any], metrics: Sequence[str] = tuple(QUALITY)) -> str:
    """Return the table of all systems; the best nDCG@10 is bold."""
    shown = [metric for metric in metrics if all(metric in row for row in report["systems"])]
    best = max((row["ndcg@10"] for row in report["systems"]), default=0)
    rows = []
    for row in report["systems"]:
        cells = [f"{row[metric]:.3f}" for metric in shown]
        if row["ndcg@10"] == best:
            cells[0] = f"**{cells[0]}**"
        low, high = row["ndcg@10_interval"]
        sparsity = [f"{row[name]:.{digits}f}" if name in row else "" for name, digits in (("doc_dims", 0), ("query_dims", 1), ("flops", 2))]
        rows.append([row["system"], cells[0], f"{low:.3f}–{high:.3f}", *cells[1:], *sparsity])
    first, *others = [QUALITY[metric] for metric in shown]
    return table(["system", first, "95 %", *others, "dims a passage", "dims a query", "FLOPS"], rows)


def comparison_table(report: Mapping[str, Any]) -> str:
    """Return the tests: difference in nDCG@10, the ratio, p and Holm's p."""
    rows = [
        [
            f"{row['first']} − {row['second']}",
            f"{row['difference']:+.3f}",
            f"{row['relative']:.2f} ×" if "relative" in row else "",
            _p(row["p_value"]),
            _p(row["p_holm"]),
        ]
        for row in report["comparisons"]
    ]
    return table(["nDCG@10", "difference", "ratio", "p", "p, Holm"], rows)


def group_tables(report: Mapping[str, Any]) -> str:
    """Return nDCG@10 by group, one table a grouping, the number of queries in the header; where all are in one group, that is said."""
    alone = [f"{grouping}: {group}" for grouping, sizes in report["groups"].items() if len(sizes) == 1 for group in sizes]
    parts = [f"All queries: {', '.join(alone)}.\n"] if alone else []
    for grouping, sizes in report["groups"].items():
        if len(sizes) == 1:
            continue
        rows = [[row["system"], *(f"{row['groups'][grouping][group]:.3f}" for group in sizes)] for row in report["systems"]]
        parts.append(table([grouping, *(f"{group} ({size})" for group, size in sizes.items())], rows))
    return "\n".join(parts)


def markdown_report(report: Mapping[str, Any], figures: Sequence[tuple[str, str]] = ()) -> str:
    """Return the whole report.

    Args:
        report: what evaluation.json holds.
        figures: (file, caption) of each figure beside it.
    """
    parts = [
        f"# {report['collection']}, {report['split']}\n",
        f"{report['queries']:,} queries, {report['passages']:,} passages, judged at the {report['judged']}; exact search, "
        f"{report['depth']:,} places a ranking.\n",
        quality_table(report),
    ]
    if report["comparisons"]:
        parts += [
            "## Is the difference more than luck?\n",
            comparison_table(report),
            f"Paired randomisation tests on nDCG@10, corrected for their number by Holm. The best BM25 is {report['best_bm25']}.\n",
        ]
    if report["groups"]:
        parts += ["## nDCG@10 by group of queries\n", group_tables(report)]
    parts += [f"![{caption}]({file})\n" for file, caption in figures]
    for row in report["systems"]:
        if not is_baseline(row["system"]):
            parts.append(_encoder(row))
    for system, facts in report.get("synonyms", {}).items():
        parts.append(_synonyms(system, facts))
    for system, cases in report.get("cases", {}).items():
        parts.append(_cases(system, cases))
    parts += ["## Data and conditions\n", _conditions(report)]
    return "\n".join(parts)


def _encoder(row: Mapping[str, Any]) -> str:
    parts = [f"## {row['system']}: weights and time\n"]
    if "dims" in row:
        shares = row["function_share"]
        rows = [
            [side, *(f"{row['dims'][side][name]:.0f}" for name in ("mean", "p10", "p50", "p90", "max")), f"{shares[side]['share']:.1%}"]
            for side in ("passages", "queries")
        ]
        parts.append(table(["active dimensions", "mean", "p10", "p50", "p90", "max", "weight on particles and endings"], rows))
        terms = ", ".join(f"`{cell(token)}` {share:.0%}" for token, share in row["top_terms"])
        parts.append(f"The terms that most passages use: {terms}.\n")
        cut = row["over_limit"]
        parts.append(f"Over the limit, so cut: {cut['passages']:.1%} of the passages, {cut['queries']:.1%} of the queries.\n")
    if "latency" in row:
        times = row["latency"]
        measured = (("read a query", "encode_ms"), ("search", "search_ms"))
        rows = [[what, *(f"{times[key][share]:.2f}" for share in ("p50", "p90", "p99"))] for what, key in measured]
        parts.append(table(["milliseconds, one query at a time", "p50", "p90", "p99"], rows))
        parts.append(f"{times['passages_per_second']:,.0f} passages a second are encoded.\n")
    return "\n".join(parts)


def _synonyms(system: str, facts: Mapping[str, Any]) -> str:
    rows = []
    for direction, name in (("korean_to_english", "Korean → English"), ("english_to_korean", "English → Korean")):
        ranks, tops = facts[direction], facts["translation_in_top"][direction]
        cells = [f"{ranks[metric]:.3f}" for metric in ("mrr", "recall@1", "recall@10")]
        rows.append([name, *cells, *(f"{top[which]:.1%}" for top in tops.values() for which in ("all", "any"))])
    looked = [f"{which} in top {size}" for size in tops for which in ("all pieces", "any piece")]
    header = ["", "MRR", "R@1", "R@10", *looked]
    examples = [
        [example["ko"], example["en"], f"{example['cosine']:.2f}", " ".join(example["english_terms"]), " ".join(example["korean_terms"])]
        for example in facts["examples"]
    ]
    return "\n".join(
        [
            f"## {system}: Korean and English terms\n",
            f"{facts['pairs']} pairs of a list. Mean cosine of a pair {facts['cosine']:.3f}, of a Korean term with another pair's English "
            f"one {facts['control_cosine']:.3f}; the pair is closer in {facts['above_control']:.1%}.\n",
            table(header, rows),
            table(["Korean", "English", "cosine", "English terms of the Korean one", "Korean terms of the English one"], examples),
        ]
    )


def _cases(system: str, cases: Mapping[str, Any]) -> str:
    parts = [f"## {system}: where it loses and wins most\n", f"Against {cases['against']}. ✓ marks what is relevant.\n"]
    for kind in ("losses", "wins"):
        parts.append(f"### {kind.capitalize()}\n")
        parts += [_case(case) for case in cases[kind]] or ["None.\n"]
    return "\n".join(parts)


def _case(case: Mapping[str, Any]) -> str:
    values = ", ".join(f"{system} {value:.3f}" for system, value in case["ndcg@10"].items())
    columns = [[f"{'✓ ' if hit['relevant'] else ''}{hit['title']} ({hit['score']:.2f})" for hit in hits] for hits in case["top"].values()]
    length = max(map(len, columns), default=0)
    rows = [[str(place + 1), *(column[place] if place < len(column) else "" for column in columns)] for place in range(length)]
    parts = [f"**{cell(case['query'])}** (`{case['query_id']}`; nDCG@10: {values})\n", table(["", *case["top"]], rows)]
    for passage in case["terms"]:
        terms = ", ".join(f"`{cell(token)}` {asked:.2f} × {offered:.2f}" for token, asked, offered in passage["terms"]) or "no shared term"
        role = {"relevant": "The relevant passage", "rival": "Its rival"}[passage["role"]]
        parts.append(f"{role}, {cell(passage['title'])}, scores {passage['score']:.2f}: {terms}.\n")
    return "\n".join(parts)


def _conditions(report: Mapping[str, Any]) -> str:
    rows = [[f"data, {name}", f"`{value}`"] for name, value in report["data"].items()]
    for name, value in report["conditions"].items():
        shown = ", ".join(f"{key} {inner}" for key, inner in value.items()) if isinstance(value, Mapping) else str(value)
        rows.append([name.replace("_", " "), f"`{shown}`" if name == "command" else shown])
    return table(["", ""], rows)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
