"""The zips that one index needs, and whether they go together."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from opensearch_ko.export.archive import ModelArchive, query_archive_beside
from opensearch_ko.index_meta import SeismicSettings
from opensearch_ko.indexes import HIGHEST_SEISMIC_ID
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import ModelError, UsageError

QUERY_TABLE = "idf.json"
"""A query tokenizer's weights by token; what it lacks weighs 1 (contract, 1.2)."""
CEILING_MARGIN = 1.1
"""SEISMIC clips what is heavier than its ceiling, and the card's heaviest weight is that of a few hundred texts only."""


@dataclass(frozen=True)
class Bundle:
    """What one index is made of.

    Args:
        encoder: reads passages, and a siamese encoder's queries.
        query: reads a doc-only encoder's queries; None for a siamese one.
        dense: fills a vector field; None: the index gets none.
        pruning: of passages' weights; None: as the index does that stands there, else none.
        seismic: of a companion index; None: as the index that stands there, else there is none.
        via_url: where the nodes fetch the zips: the encoder's address (https://…/x.zip), or a folder's (ends with /), where the others lie
            beside it under the names they have here; None: they are sent in chunks.
    """

    encoder: ModelArchive
    query: ModelArchive | None = None
    dense: ModelArchive | None = None
    pruning: Pruning | None = None
    seismic: SeismicSettings | None = None
    via_url: str | None = None

    @property
    def archives(self) -> list[ModelArchive]:
        """All zips."""
        return list(self._present())

    def _present(self) -> Iterator[ModelArchive]:
        yield from (archive for archive in (self.encoder, self.query, self.dense) if archive is not None)

    def url_of(self, archive: ModelArchive) -> str | None:
        """Return where the nodes fetch `archive`, None where it is sent in chunks."""
        if self.via_url is None or (archive is self.encoder and not self.via_url.endswith("/")):
            return self.via_url
        return urljoin(self.via_url, archive.path.name)


def bundle_of(
    encoder: ModelArchive,
    query: ModelArchive | None = None,
    dense: ModelArchive | None = None,
    *,
    pruning: Pruning | None = None,
    seismic: SeismicSettings | None = None,
    via_url: str | None = None,
) -> Bundle:
    """Put together what belongs together; a doc-only encoder's query zip is looked for beside its own.

    Raises:
        UsageError: a zip has another role than asked for, or `via_url` is no address that a node could read.
        ModelError: a doc-only encoder's query zip is missing or another model's, or the model cannot fill the fields that are asked for.
    """
    card = encoder.card
    _expect_role(encoder, "encoder", "--model")
    if query is not None:
        _expect_role(query, "query-tokenizer", "--query")
    if dense is not None:
        _expect_role(dense, "dense", "--dense")
    if query is None and card.form in {"doc-only", "lexical-floor"}:
        query = query_archive_beside(encoder.path)
        if query is None:
            raise ModelError(
                f"{encoder.path} encodes passages only ({card.form}), and its query tokenizer is not beside it.",
                "Name that zip: --query ZIP    or write both anew: sparse-ko export --model DIR --out DIR",
            )
    if query is not None and query.card.folder_version != card.folder_version:
        raise ModelError(
            f"{query.path} reads the queries of another model (version {query.card.folder_version}; {encoder.path} is "
            f"{card.folder_version}): their tokens would not meet.",
            "Name the query zip that was written with this encoder: --query ZIP",
        )
    if card.probe_by_id and seismic is None:
        raise ModelError(
            f"{encoder.path}: the model's tokens are not all spelt apart, so its weights cannot go into a rank_features field, where a "
            "token is its spelling.",
            "Let token ids be the keys: --seismic    What else is wrong: sparse-ko export check ZIP",
        )
    if via_url is not None and via_url.partition("://")[0] not in {"file", "http", "https"}:
        raise UsageError(f"{via_url!r} is no address that a node could read.", "Write https://HOST/PATH.zip or file:///PATH.zip.")
    return Bundle(encoder, query, dense, pruning, seismic and _with_ceilings(seismic, encoder, query), via_url)


def _with_ceilings(asked: SeismicSettings, encoder: ModelArchive, query: ModelArchive | None) -> SeismicSettings:
    """Fill in the quantisation ceilings that were not asked for, from the cards' heaviest weights; refuse ids that SEISMIC cannot hold."""
    highest = encoder.card.vocabulary_size - 1
    if highest > HIGHEST_SEISMIC_ID:
        raise ModelError(
            f"{encoder.path}: the vocabulary goes up to id {highest:,}; SEISMIC of OpenSearch 3.3 to 3.8 breaks above "
            f"{HIGHEST_SEISMIC_ID:,}.",
            "Leave --seismic out, or take a smaller vocabulary: sparse-ko vocab prune",
        )
    ceilings = {}
    for setting, archive in (("quantization_ceiling_ingest", encoder), ("quantization_ceiling_search", query or encoder)):
        if setting in asked.model_fields_set:
            continue
        heaviest = _heaviest_weight(archive)
        if not heaviest:
            raise ModelError(
                f"{archive.path} does not say how heavy its weights are, so SEISMIC's 8 bits cannot be set.",
                "Write it anew, which measures that: sparse-ko export --model DIR --out DIR",
            )
        ceilings[setting] = round(heaviest * CEILING_MARGIN, 2)
    return asked.model_copy(update=ceilings)


def _heaviest_weight(archive: ModelArchive) -> float | None:
    """Return the heaviest weight that the card names; a query tokenizer's stands in its own table."""
    if archive.card.role != "query-tokenizer" or archive.card.heaviest_weight:
        return archive.card.heaviest_weight
    with zipfile.ZipFile(archive.path) as zipped:
        table = json.loads(zipped.read(QUERY_TABLE)) if QUERY_TABLE in zipped.namelist() else {}
    return max((float(weight) for weight in table.values()), default=1.0)


def _expect_role(archive: ModelArchive, role: str, option: str) -> None:
    if archive.card.role != role:
        kinds = {"encoder": "--model", "query-tokenizer": "--query", "dense": "--dense"}
        raise UsageError(
            f"{archive.path} is not for {option}: its card says {archive.card.role}.", f"Name it so: {kinds[archive.card.role]} ZIP"
        )
