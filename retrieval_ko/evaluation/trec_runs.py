"""Rankings of any system as TREC writes them: query, Q0, passage, place, score and the system's name, parted by white space."""

from __future__ import annotations

from pathlib import Path

from retrieval_ko.errors import DataError
from retrieval_ko.files import read_lines

_FIELDS = 6


def read_trec_run(source: Path) -> dict[str, list[str]]:
    """Return the passages of each query, by falling score as trec_eval reads them, equal scores by id.

    Raises:
        DataError: the file is missing, or a line is damaged; names it.
    """
    found: dict[str, dict[str, float]] = {}
    for number, line in read_lines(source):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != _FIELDS:
            raise DataError(f"{source}, line {number}: expected query, Q0, passage, place, score and name, found {len(cells)} fields.")
        query, _, passage, _, score, _ = cells
        try:
            value = float(score)
        except ValueError as failure:
            raise DataError(f"{source}, line {number}: {score} is no score.") from failure
        if passage in found.setdefault(query, {}):
            raise DataError(f"{source}, line {number}: {passage} stands twice in the ranking of {query}.")
        found[query][passage] = value
    return {query: sorted(scores, key=lambda passage: (-scores[passage], passage)) for query, scores in found.items()}
