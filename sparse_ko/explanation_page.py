"""An explanation as one HTML file that needs no network, for light and dark screens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from sparse_ko.explanation import Explanation, MarkedSpan, ReadText

if TYPE_CHECKING:
    from sparse_ko.model import TokenMatch

SHOWN_MATCHES = 40
_FAINTEST, _STRONGEST = 10, 52
"""Shade of the smallest and the largest contribution, in per cent."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --page: #ffffff; --line: #d9e0e7; --own: 11 110 79; --new: 200 110 20; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9aa7b4; --page: #14191f; --line: #2c3640; --own: 64 190 140; --new: 240 165 70; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 2.5rem 1.5rem 5rem; background: var(--page); color: var(--ink);
  font: 17px/1.75 system-ui, "Apple SD Gothic Neo", "Noto Sans KR", "Noto Sans CJK KR", "Malgun Gothic", sans-serif; }
h1 { font-size: 1.15rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 3rem 0 .4rem; }
h3 { font-size: .95rem; margin: 1.4rem 0 .3rem; }
.note, figcaption { color: var(--soft); font-size: .87rem; } .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
.query .text { font-size: 1.25rem; } .unread { color: var(--soft); }
mark { position: relative; color: inherit; border-radius: .2em; padding: .08em 0; cursor: help;
  background: rgb(var(--own) / var(--shade)); }
.chip { display: inline-block; margin: .15rem .3rem .15rem 0; padding: 0 .55rem; border-radius: .8rem;
  background: rgb(var(--new) / var(--shade)); }
.chip b { font-weight: 600; } .chip span { opacity: .78; font-size: .82rem; margin-left: .35rem; font-variant-numeric: tabular-nums; }
mark::after { content: attr(data-why); position: absolute; left: 0; top: 100%; z-index: 1; display: none; white-space: nowrap;
  padding: .15rem .6rem; border-radius: .3rem; background: var(--ink); color: var(--page); font-size: .82rem; line-height: 1.6; }
mark:hover::after, mark:focus::after { display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.bar { width: 40%; } td.bar i { display: block; height: .7rem; border-radius: .2rem; background: rgb(var(--own) / .75); }
tr.new td.bar i { background: rgb(var(--new) / .75); } tr.new td:first-child { color: rgb(var(--new)); }
"""


class ExplainedPassage(NamedTuple):
    """A passage of the page: a heading, and why it matched."""

    heading: str
    explanation: Explanation


def explanation_page(passages: Sequence[ExplainedPassage]) -> str:
    """Return the page: the query once, then each passage.

    A word's shade is what its token adds to the score, on one scale for the whole page; hovering shows query weight × passage weight.

    Args:
        passages: one at least, all for one query.
    """
    query = passages[0].explanation.query
    largest = max((match.contribution for passage in passages for match in passage.explanation.matches), default=1.0) or 1.0
    body = "".join(_passage(passage, largest) for passage in passages)
    asked = _text(query, passages[0].explanation.query_spans() if len(passages) == 1 else query.spans({}), largest)
    title = escape(query.text[:60])
    return (
        '<!doctype html><html lang="ko"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f'<section class="query"><h1 class="note">Query</h1>{asked}</section>{body}</body></html>\n'
    )


def _passage(passage: ExplainedPassage, largest: float) -> str:
    why = passage.explanation
    expansions = {match.token for match in why.expansions}
    chips = "".join(_chip(match, why, largest) for match in why.expansions[:SHOWN_MATCHES])
    rows = "".join(_row(match, match.token in expansions, largest) for match in why.matches[:SHOWN_MATCHES])
    more = len(why.matches) - SHOWN_MATCHES
    rest = f'<p class="note">And {more} more that add less.</p>' if more > 0 else ""
    literal = why.score - sum(match.contribution for match in why.expansions)
    summary = f"Score {why.score:.3f} from {len(why.matches)} shared tokens; {literal:.3f} of it from words that both texts contain."
    added = '<h3>Expansions</h3><p class="note">Tokens that the query, the passage or both do not contain.</p>'
    header = "<th>token</th><th>query</th><th>passage</th><th>adds</th><th></th>"
    return (
        f'<article><h2>{escape(passage.heading)}</h2><p class="note">{summary}</p>{_text(why.passage, why.passage_spans(), largest)}'
        + (f"{added}<div>{chips}</div>" if chips else "")
        + f"<h3>All matches</h3><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>{rest}</article>"
    )


def _text(read: ReadText, spans: Sequence[MarkedSpan], largest: float) -> str:
    parts = []
    for start, end, match in spans:
        piece = escape(read.text[start:end])
        if match is not None:
            parts.append(f'<mark tabindex="0" style="--shade:{_shade(match, largest)}" data-why="{escape(_why(match))}">{piece}</mark>')
        elif start >= read.read_characters and read.is_cut:
            parts.append(f'<span class="unread">{piece}</span>')
        else:
            parts.append(piece)
    cut = '<p class="note">The grey end is over the limit and was not read.</p>' if read.is_cut else ""
    return f'<div class="text">{"".join(parts)}</div>{cut}'


def _chip(match: TokenMatch, why: Explanation, largest: float) -> str:
    missing = [name for name, text in (("query", why.query), ("passage", why.passage)) if not text.contains(match.token)]
    where = f"not in the {' nor in the '.join(missing)}"
    return (
        f'<span class="chip" style="--shade:{_shade(match, largest)}" title="{escape(f"{_why(match)}; {where}")}">'
        f"<b>{escape(match.token)}</b><span>{match.contribution:.2f}, {where}</span></span>"
    )


def _row(match: TokenMatch, is_new: bool, largest: float) -> str:
    numbers = "".join(f"<td>{number:.3f}</td>" for number in (match.query_weight, match.passage_weight, match.contribution))
    bar = f'<td class="bar"><i style="width:{100 * match.contribution / largest:.1f}%"></i></td>'
    return f"<tr{' class=new' if is_new else ''}><td>{escape(match.token)}</td>{numbers}{bar}</tr>"


def _why(match: TokenMatch) -> str:
    return f"{match.token}: {match.query_weight:.3f} × {match.passage_weight:.3f} = {match.contribution:.3f}"


def _shade(match: TokenMatch, largest: float) -> str:
    return f"{_FAINTEST + (_STRONGEST - _FAINTEST) * match.contribution / largest:.0f}%"
