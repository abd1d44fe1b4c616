"""A report as one HTML file that needs no network: headings, sentences, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from retrieval_ko.files import write_text

_STYLE = """
body { font: 16px/1.6 system-ui, "Apple SD Gothic Neo", "Noto Sans KR", "Malgun Gothic", sans-serif; color: #1d2733;
       max-width: 60rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid #d9e0e7; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: #52606d; font-weight: 600; }
tr.best td { background: #eaf6f0; } figure { margin: 1.5rem 0; } svg { max-width: 100%; height: auto; }
.note { color: #52606d; font-size: .9rem; } .hit { margin: .6rem 0 1.2rem; } .query { font-weight: 600; }
.term { display: inline-block; margin: .15rem; padding: 0 .5rem; border-radius: .7rem; background: #eef2f6; font-size: .85rem; }
.term.expanded { background: #fdeacb; } code { background: #eef2f6; padding: .1rem .3rem; border-radius: .2rem; }
"""


class Report:
    """Collects a report's parts in order; `write` makes the file."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str, *, note: bool = False) -> None:
        """Add a paragraph; a note is set smaller."""
        self._parts.append(f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], best: int | None = None) -> None:
        """Add a table; the row numbered `best` is marked."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join(
            f"<tr{' class=best' if number == best else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
            for number, row in enumerate(rows)
        )
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, svg: str, caption: str) -> None:
        """Add a figure, as made by `retrieval_ko.evaluation.plots`."""
        self._parts.append(f"<figure>{svg}<figcaption class=note>{escape(caption)}</figcaption></figure>")

    def hit(self, query: str, title: str, text: str, terms: Sequence[tuple[str, float, bool]]) -> None:
        """Add an example: a query, the passage found, and (token, contribution, whether the query lacks the word) of each match."""
        spans = "".join(f'<span class="term{" expanded" if new else ""}">{escape(token)} {added:.2f}</span>' for token, added, new in terms)
        passage = f"<div><b>{escape(title)}</b> {escape(text)}</div><div>{spans}</div>"
        self._parts.append(f'<div class="hit"><div class="query">{escape(query)}</div>{passage}</div>')

    def write(self, target: Path) -> None:
        """Write the file, whole or not at all."""
        title = escape(self._title)
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
        write_text(
            target, f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{"".join(self._parts)}</body></html>\n'
        )
