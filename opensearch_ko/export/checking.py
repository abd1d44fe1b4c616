"""A zip of any maker, looked at as ML Commons would: what it is, what it can fill, and what keeps it from being deployed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from tokenizers import Tokenizer

from opensearch_ko.export.archive import CARD_NAME, ExportCard, graph_names
from opensearch_ko.export.graph_checking import ANEW, DENSE, fine, forbids, graph_findings
from opensearch_ko.export.tokenizer import LARGEST_QUERY_WEIGHT, SERVER_LIMIT_TOKENS, spellings
from retrieval_ko.errors import ModelError
from sparse_ko.vocabulary.audit import audit_of
from sparse_ko.vocabulary.findings import FIELD_TYPES, LEVELS, Finding

REFUSED_ENDINGS = (".jar", ".class", ".so", ".dylib", ".dll")
"""Programs; ML Commons after 3.8 refuses a zip that holds one (contract, 1.1)."""
AUDITED = ("decode collisions", "keys with U+FFFD", "special tokens", "largest id", "jamo")
"""What the audit of a vocabulary says that concerns a deploy."""


def findings_of_archive(path: Path) -> list[Finding]:
    """Return what there is to say of a zip, the gravest first; see `opensearch_ko.export.check_archive`."""
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Name a zip: sparse-ko export check ZIP")
    return sorted(_findings(path), key=lambda finding: LEVELS.index(finding.level))


def is_deployable(findings: list[Finding]) -> bool:
    """Return whether nothing stands in the way of a deploy; what only forbids one of two field types does not."""
    forbidden = {field for finding in findings for field in finding.forbids}
    return not any(finding.level == "forbids" and not finding.forbids for finding in findings) and forbidden != set(FIELD_TYPES)


def _findings(path: Path) -> Iterator[Finding]:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
            if damaged:
                yield forbids(
                    "zip", f"{damaged} is damaged", "Its checksum is wrong: the node would load something else.", "Copy it again."
                )
                return
            parts = {name: archive.read(name) for name in names if name in {"tokenizer.json", "idf.json", CARD_NAME, *graph_names(names)}}
    except (zipfile.BadZipFile, OSError, EOFError) as failure:
        yield forbids("zip", "not readable", f"It can't be unpacked: {failure}.", "Copy or export it again.")
        return
    yield fine("zip", f"{len(names)} entries, {path.stat().st_size / 1e6:.1f} MB")
    yield from _entries(names)
    card = None
    if CARD_NAME in parts:
        try:
            card = ExportCard.model_validate_json(parts[CARD_NAME])
        except ValidationError as failure:
            yield forbids("card", f"{CARD_NAME} is not readable", f"{failure.error_count()} errors.", ANEW)
    else:
        yield Finding("card", "note", "none", "What the model answers can't be checked after a deploy.", ANEW)
    if "tokenizer.json" not in parts:
        return
    try:
        tokenizer = Tokenizer.from_str(parts["tokenizer.json"].decode())
    except Exception as failure:  # noqa: BLE001  the library raises nothing more special
        yield forbids("tokenizer file", "not readable", f"The tokenizers library can't load it: {failure}.", ANEW)
        return
    graphs = graph_names(names)
    of_graph = list(graph_findings(graphs[0], parts[graphs[0]], tokenizer, card)) if len(graphs) == 1 and "/" not in graphs[0] else []
    yield from of_graph
    yield from _tokenizer(tokenizer, dense=any(finding.found == DENSE for finding in of_graph))
    if not graphs and "idf.json" in parts:
        yield from _query_weights(parts["idf.json"], tokenizer)


def _entries(names: list[str]) -> Iterator[Finding]:
    graphs = graph_names(names)
    if len(graphs) > 1:
        finder = " Entries under __MACOSX count: macOS puts them there." if any(name.startswith("__MACOSX") for name in graphs) else ""
        yield forbids(
            "graph file",
            ", ".join(graphs),
            f"ML Commons wants exactly one graph.{finder}",
            "Zip it without: zip -X, or zip -d ZIP '__MACOSX/*'",
        )
    elif graphs and "/" in graphs[0]:
        yield forbids(
            "graph file",
            graphs[0],
            "ML Commons looks for it at the zip's root.",
            "Zip the files, not their folder: cd FOLDER && zip ../model.zip *",
        )
    elif graphs:
        yield fine("graph file", graphs[0])
    elif "idf.json" in names:
        yield fine("graph file", "none: a query tokenizer (SPARSE_TOKENIZE)")
    else:
        yield forbids("graph file", "none", "There is neither a graph nor an idf.json: no kind of model can be made of it.", ANEW)
    if "tokenizer.json" not in names:
        yield forbids("tokenizer file", "no tokenizer.json at the root", "Every kind of model needs one.", ANEW)
    leftovers = [name for name in names if name.startswith("__MACOSX") and name not in graphs]
    if leftovers:
        yield Finding("__MACOSX", "warning", f"{len(leftovers)} entries", "They are of no use to the node.", "zip -d ZIP '__MACOSX/*'")
    programs = [name for name in names if name.endswith(REFUSED_ENDINGS)]
    if programs:
        yield Finding(
            "programs", "warning", ", ".join(programs[:3]), "ML Commons after 3.8 refuses a zip that holds a program.", "Leave it out."
        )


def _tokenizer(tokenizer: Tokenizer, *, dense: bool) -> Iterator[Finding]:
    audit = audit_of(tokenizer, "tokenizer.json")
    yield fine("tokenizer file", f"{audit.kind}, {audit.ids:,} tokens")
    if not dense:  # no token of a bi-encoder is ever named
        yield from (finding for finding in audit.findings if finding.name in AUDITED)
    limit = audit.truncation
    if limit is None:
        yield Finding("truncation", "warning", "none", "ML Commons cuts at 512 tokens, whatever the model was trained for.", ANEW)
    elif limit > SERVER_LIMIT_TOKENS:
        yield Finding("truncation", "note", f"{limit:,} tokens", f"ML Commons cuts at {SERVER_LIMIT_TOKENS} tokens all the same.")
    else:
        yield fine("truncation", f"{limit} tokens")


def _query_weights(content: bytes, tokenizer: Tokenizer) -> Iterator[Finding]:
    try:
        table = {str(token): float(weight) for token, weight in json.loads(content).items()}
    except (ValueError, TypeError, AttributeError) as failure:
        yield forbids("idf.json", "not readable", f"It must be one object, token to weight: {failure}.", ANEW)
        return
    names = {name for name in spellings(tokenizer) if name}
    missing = names - table.keys()
    refused = {name for name in names & table.keys() if not 0 < table[name] <= LARGEST_QUERY_WEIGHT}
    if missing:
        meaning = "A token that the table lacks weighs 1."
        yield Finding("idf.json", "warning", f"{len(missing):,} of {len(names):,} tokens missing", meaning, ANEW)
    if refused:
        shown = ", ".join(sorted(refused)[:5])
        meaning = f"A query with such a token is refused ({shown}): weights must be in (0, {LARGEST_QUERY_WEIGHT:g}]."
        yield forbids("idf.json", f"{len(refused):,} weights out of bounds", meaning, ANEW)
    if not missing and not refused:
        yield fine("idf.json", f"{len(names):,} tokens")
