"""May what was learnt from a text under this licence be passed on? Asked of a licence's name as collection.json states it.

Cautious on purpose: a licence counts only where it is known to allow it. Whether weights are a work derived from the texts is not
settled everywhere; a licence that forbids derived works or commercial use is treated as if they were.
"""

from __future__ import annotations

import re

_FORBIDS = {
    r"\bnc\b|non-?commercial|비영리|비상업": "it forbids commercial use",
    r"\bnd\b|no-?deriv|변경\s*금지": "it forbids passing on what is derived",
    r"research|academic|\bevaluation only\b|연구": "it is for research only",
    r"unknown|noassertion|not stated|all rights reserved": "nobody knows what it allows",
}
_ALLOWS = re.compile(
    r"\bcc0|\bcc[ -]by|\bapache\b|\bmit\b|\bbsd\b|\bunicode\b|\bodc\b|\bpddl\b|\bgfdl\b|public domain|not protected works|free reuse"
    r"|공공누리\s*제?\s*1\s*유형|\bkogl[ -]type[ -]?1\b|\bown work\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s+AND\s+|;(?![^(]*\))")  # a semicolon in brackets belongs to a remark
STATE_IT = "--licence-of NAME=LICENCE (an SPDX name such as CC-BY-4.0; `own work` for texts that are yours)"


def objection(licence: str) -> str:
    """Return why what was learnt under a licence can't be passed on, empty where it can.

    Args:
        licence: of one text, or of several, joined by AND (as `sparse-ko data merge` does) or by semicolons; each must allow it.
    """
    parts = [part.strip() for part in _BETWEEN.split(licence) if part.strip()]
    if not parts:
        return "no licence is stated"
    for part in parts:
        for pattern, reason in _FORBIDS.items():
            if re.search(pattern, part, re.IGNORECASE):
                return f"{part}: {reason}"
        if not _ALLOWS.search(part):
            return f"{part}: it is none that is known to allow it"
    return ""
