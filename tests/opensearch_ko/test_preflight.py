"""Before anything is written, a cluster is asked whether it can take the models; every stop comes with what mends it."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_ko.cluster import Cluster
from opensearch_ko.cluster_facts import probe
from opensearch_ko.export.archive import ExportCard, ModelArchive
from opensearch_ko.preflight import ML_PREFIX, Needs, preflight, settings_that_mend
from opensearch_ko.profile import ClusterProfile

sys.path.insert(0, str(Path(__file__).parent))
from test_cluster import server

CARD = ExportCard(name="legal", version="0" * 12, vocabulary_size=100, max_tokens=64, probe_text="전세", parity={"texts": 3}, versions={})
ENCODER = ModelArchive(path=Path("model.zip"), card=CARD, sha256="0" * 64, size_bytes=1_000_000)
DENSE = replace(ENCODER, card=CARD.model_copy(update={"role": "dense", "function_name": "TEXT_EMBEDDING", "serves": ["knn_vector"]}))
BY_ID = replace(ENCODER, card=CARD.model_copy(update={"serves": ["sparse_vector"]}))
GIB = 2**30


def cluster_of(
    number="3.6.0", plugins=("opensearch-ml", "opensearch-neural-search"), heap=2 * GIB, heap_used=20, disk=256 * GIB, models=0, **settings
):
    in_force = {
        "only_run_on_ml_node": "false",
        "allow_registering_model_via_local_file": "true",
        "native_memory_threshold": "100",
    } | settings
    jvm = {"mem": {"heap_max_in_bytes": heap}}
    about = {"name": "n1", "roles": ["data"], "plugins": [{"name": plugin} for plugin in plugins], "jvm": jvm}
    measured = {
        "fs": {"total": {"available_in_bytes": disk}},
        "os": {"mem": {"used_percent": 95}},
        "jvm": {"mem": {"heap_used_percent": heap_used}},
    }
    pages = {
        "/": {"version": {"distribution": "opensearch", "number": number}},
        "/_nodes/jvm,plugins": {"nodes": {"id1": about}},
        "/_nodes/stats/fs,os,jvm": {"nodes": {"id1": measured}},
        "/_plugins/_ml/stats/ml_deployed_model_count": {"nodes": {"id1": {"ml_deployed_model_count": models}}},
        "/_cluster/settings": {
            "persistent": {},
            "transient": {},
            "defaults": {f"{ML_PREFIX}{name}": value for name, value in in_force.items()},
        },
    }
    return lambda method, path, headers, body: (200, "application/json", json.dumps(pages[path.split("?")[0]]))


def findings_of(level, needs=None, **cluster):
    with server(cluster_of(**cluster)) as url:
        facts = probe(Cluster(ClusterProfile(url=url)))
    return [finding for finding in preflight(facts, needs or Needs([ENCODER])) if finding.level == level]


def test_a_fitting_cluster_has_no_stop():
    assert findings_of("stop") == []
    assert findings_of("warning") == []


@pytest.mark.parametrize(
    ("cluster", "needs", "words"),
    [
        ({"number": "2.11.0"}, Needs([ENCODER]), "2.11.0 is too old"),
        ({"plugins": ()}, Needs([ENCODER]), "opensearch-ml .* not installed"),
        ({"plugins": ("opensearch-ml",)}, Needs([ENCODER]), "opensearch-neural-search .* not installed"),
        ({}, Needs([ENCODER, DENSE]), "opensearch-knn .* not installed"),
        ({"number": "3.2.0"}, Needs([ENCODER], seismic=True), "3.2.0 has no SEISMIC; 3.3"),
        ({"number": "3.1.0"}, Needs([BY_ID]), "answers by token ids, which OpenSearch 3.1.0 cannot do"),
        ({"only_run_on_ml_node": "true"}, Needs([ENCODER]), "only_run_on_ml_node"),
        ({"allow_registering_model_via_local_file": "false"}, Needs([ENCODER]), "may not be uploaded"),
        ({}, Needs([ENCODER], url="https://files.example/m.zip"), "may not be fetched from an address"),
        (
            {"allow_registering_model_via_url": "true", "trusted_url_regex": "https://.*"},
            Needs([ENCODER], url="file:///m.zip"),
            "does not trust the address file:///m.zip",
        ),
        ({"local_model.enabled": "false"}, Needs([ENCODER]), "local_model.enabled"),
        ({"models": 10}, Needs([ENCODER]), "holds 10 models and 1 are to come; max_model_on_node is 10"),
        ({"heap": GIB}, Needs([replace(ENCODER, size_bytes=540_000_000)]), "1.0 GiB of heap; an archive of 540 MB"),
        ({"disk": 5 * GIB}, Needs([ENCODER]), "free disk"),
        ({"disk": GIB // 2}, Needs([ENCODER]), "free disk"),
    ],
)
def test_what_stops_a_deploy_is_said_with_its_remedy(cluster, needs, words):
    stops = findings_of("stop", needs, **cluster)
    assert stops
    assert re.search(words, " ".join(stop.what for stop in stops))
    assert all(stop.remedy for stop in stops)


@pytest.mark.parametrize(
    ("cluster", "needs", "settings"),
    [
        ({"only_run_on_ml_node": "true"}, Needs([ENCODER]), {"only_run_on_ml_node": False}),
        (
            {"allow_registering_model_via_local_file": "false"},
            Needs([ENCODER]),
            {"allow_registering_model_via_local_file": True},
        ),
        ({}, Needs([ENCODER], url="file:///m.zip"), {"allow_registering_model_via_url": True}),
        ({"models": 9}, Needs([ENCODER, BY_ID]), {"max_model_on_node": 11}),
        ({"disk": 5 * GIB}, Needs([ENCODER]), {"disk_free_space_threshold": "1gb"}),
        ({"disk": GIB // 2}, Needs([ENCODER]), {}),  # no setting makes room on a full disk
        ({"native_memory_threshold": "90"}, Needs([ENCODER]), {"native_memory_threshold": 100}),
    ],
)
def test_a_setting_that_mends_it_is_named(cluster, needs, settings):
    findings = [*findings_of("stop", needs, **cluster), *findings_of("warning", needs, **cluster)]
    assert settings_that_mend(findings, warnings_too=True) == {f"{ML_PREFIX}{name}": value for name, value in settings.items()}


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"native_memory_threshold": "90"}, "Native Memory Circuit Breaker"),
        ({"heap_used": 90}, "uses 90 % of its heap"),
    ],
)
def test_a_breaker_that_may_open_is_a_warning_that_alone_changes_no_setting(cluster, words):
    [warning] = findings_of("warning", **cluster)
    assert words in warning.what
    assert warning.remedy
    assert settings_that_mend([warning]) == {}


def test_what_runs_already_needs_neither_room_nor_the_right_to_upload():
    narrow = {"heap": GIB // 4, "disk": GIB, "models": 10, "allow_registering_model_via_local_file": "false"}
    assert findings_of("stop", Needs([ENCODER], to_load=[]), **narrow) == []


def test_a_query_tokenizer_or_an_encoder_needs_no_knn_and_a_cluster_with_nori_says_so():
    with server(cluster_of(plugins=("opensearch-ml", "opensearch-neural-search", "analysis-nori"))) as url:
        facts = probe(Cluster(ClusterProfile(url=url)))
    assert facts.has_nori
    whats = [finding.what for finding in preflight(facts, Needs([ENCODER]))]
    assert any("analysis-nori" in what for what in whats)
    assert not any("opensearch-knn" in what for what in whats)
