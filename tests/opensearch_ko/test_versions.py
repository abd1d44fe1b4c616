"""Versions side by side on a real node: the alias moves only when the new one answers right, and goes back when asked."""

import json
import sys
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opensearch_ko.deployment import deploy_archive
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.index_meta import ModelReference
from opensearch_ko.indexes import SeismicSettings, concrete_index, read_meta, seismic_name, write_meta
from opensearch_ko.models import model_state, predict_sparse, undeploy
from opensearch_ko.pipelines import pipeline_name
from opensearch_ko.removal import delete_index, undeploy_index
from opensearch_ko.versions import alias_target, promote, rollback, version_index, versions
from sparse_ko_cli.deploy import app

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import PROBE_TEXT, words_archive

pytestmark = pytest.mark.node


def deploy_version(cluster, archive, alias, **settings):
    index = version_index(alias, archive.card.version)
    return deploy_archive(cluster, archive, index, alias=alias, on_step=lambda _: None, **settings)


def fill(cluster, index, documents):
    for number in range(documents):
        cluster.request("PUT", f"/{index}/_doc/{number}", {"passage": PROBE_TEXT})
    cluster.request("POST", f"/{index}/_refresh")


@pytest.fixture(scope="module")
def two(cluster, made):
    """An alias at its first version, with two passages, and a second version, still empty."""
    name = f"tiny-{uuid.uuid4().hex[:8]}"
    alias, archives = made.alias(), [made.archive(words_archive, seed=seed, name=name) for seed in (21, 22)]
    first, second = (deploy_version(cluster, archive, alias) for archive in archives)
    fill(cluster, first.index, 2)
    return alias, first, second


def test_the_first_deploy_takes_the_alias_and_the_second_leaves_it(cluster, two):
    alias, first, second = two
    assert (first.alias_index, second.alias_index) == (first.index, first.index)
    assert concrete_index(cluster, alias) == first.index
    assert concrete_index(cluster, second.index) == second.index
    assert [(version.index, version.current, version.documents) for version in versions(cluster, alias)] == [
        (first.index, True, 2),
        (second.index, False, 0),
    ]


def test_a_version_with_fewer_documents_is_refused_unless_one_insists(cluster, two):
    alias, first, second = two
    fill(cluster, second.index, 1)
    with pytest.raises(ClusterError, match=f"{second.index} holds 1 documents and {first.index} 2") as refusal:
        promote(cluster, alias, second.index)
    assert "--force" in refusal.value.remedy
    assert alias_target(cluster, alias) == first.index
    promote(cluster, alias, second.index, force=True)
    assert alias_target(cluster, alias) == second.index
    rollback(cluster, alias)
    fill(cluster, second.index, 2)


def test_the_alias_moves_there_and_back_in_one_request_each(cluster, two):
    alias, first, second = two
    moved = promote(cluster, alias, second.index)
    assert (moved.before, moved.index) == (first.index, second.index)
    assert cluster.request("GET", f"/{alias}/_search")["hits"]["hits"][0]["_index"] == second.index
    assert promote(cluster, alias, second.index).before == second.index
    back = rollback(cluster, alias)
    assert (back.before, back.index) == (second.index, first.index)
    assert alias_target(cluster, alias) == first.index
    with pytest.raises(ClusterError, match="nothing to go back to"):
        rollback(cluster, alias)


def test_a_version_whose_model_answers_otherwise_does_not_take_the_alias(cluster, two):
    alias, first, second = two
    meta = read_meta(cluster, second.index)
    probe = meta.encoder.probe
    wrong = meta.encoder.model_copy(update={"probe": probe.model_copy(update={"weights": probe.weights | {"전세": 9.0}})})
    write_meta(cluster, second.index, meta.model_copy(update={"encoder": wrong}))
    with pytest.raises(DeployError, match="does not answer as it did"):
        promote(cluster, alias, second.index)
    assert alias_target(cluster, alias) == first.index
    write_meta(cluster, second.index, meta.model_copy(update={"encoder": meta.encoder.model_copy(update={"probe": None})}))
    with pytest.raises(ClusterError, match="does not remember what"):
        promote(cluster, alias, second.index)
    write_meta(cluster, second.index, meta)


def test_a_sleeping_model_is_woken_before_the_alias_comes(cluster, two):
    alias, first, second = two
    undeploy(cluster, second.model_id)
    steps = []
    promote(cluster, alias, second.index, on_step=steps.append)
    assert any("again (it was UNDEPLOYED)" in step for step in steps)
    assert predict_sparse(cluster, second.model_id, [PROBE_TEXT])[0]
    rollback(cluster, alias)
    assert alias_target(cluster, alias) == first.index


def test_a_companion_that_lags_behind_keeps_the_alias_away(cluster, made):
    alias, archive = made.alias(), made.archive(words_archive, seed=23)
    other = made.archive(words_archive, seed=24)
    first = deploy_version(cluster, archive, alias)
    second = deploy_version(cluster, other, alias, seismic=SeismicSettings())
    fill(cluster, second.index, 1)
    with pytest.raises(ClusterError, match=f"{seismic_name(second.index)} holds 0 documents and {second.index} 1"):
        promote(cluster, alias, second.index)
    assert alias_target(cluster, alias) == first.index


def test_the_name_of_an_index_is_no_alias_and_that_of_an_alias_no_index(cluster, made, two):
    alias, first, _ = two
    archive = made.archive(words_archive, seed=25)
    with pytest.raises(ClusterError, match=f"{alias} is an alias of {first.index}") as refusal:
        deploy_archive(cluster, archive, alias, on_step=lambda _: None)
    assert f"--alias {alias}" in refusal.value.remedy
    with pytest.raises(ClusterError, match="is the name of an index, so it cannot be an alias"):
        deploy_archive(cluster, archive, made.index(), alias=first.index, on_step=lambda _: None)
    with pytest.raises(ClusterError, match="has no alias"):
        rollback(cluster, f"none-{uuid.uuid4().hex[:8]}")


def test_an_alias_of_two_indexes_means_none(cluster, two, made):
    alias, first, second = two
    crowd = made.alias()
    for index in (first.index, second.index):
        cluster.request("PUT", f"/{index}/_alias/{crowd}")
    with pytest.raises(ClusterError, match="stands for 2 indexes"):
        concrete_index(cluster, crowd)
    with pytest.raises(ClusterError, match="points at 2 indexes"):
        promote(cluster, crowd, first.index)
    for index in (first.index, second.index):
        cluster.request("DELETE", f"/{index}/_alias/{crowd}")
    assert alias_target(cluster, alias) == first.index


def test_a_model_that_another_index_uses_outlives_its_index(cluster, made):
    archive = made.archive(words_archive, seed=26)
    one, other = (
        deploy_archive(cluster, archive, made.index(), on_step=lambda _: None, seismic=seismic) for seismic in (SeismicSettings(), None)
    )
    assert one.model_id == other.model_id
    assert undeploy_index(cluster, other.index).kept_models == {one.model_id: [one.index]}
    removed = delete_index(cluster, one.index)
    assert removed.indexes == [seismic_name(one.index), one.index]
    assert removed.pipelines == [pipeline_name(one.index)]
    assert removed.kept_models == {one.model_id: [other.index]}
    assert model_state(cluster, one.model_id) == "DEPLOYED"
    assert read_meta(cluster, one.index) is None
    assert undeploy_index(cluster, other.index).models == [other.model_id]
    assert delete_index(cluster, other.index).models == [other.model_id]
    assert model_state(cluster, other.model_id) is None


# --- the commands ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(node_url):
    def invoke(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--cluster", node_url])

    return invoke


def test_the_commands_tell_the_story_as_json(run, cluster, two):
    alias, first, second = two
    fill(cluster, second.index, 2)
    rows = {row["index"]: row for row in json.loads(run("list", "--alias", alias, "--json").stdout)}
    assert set(rows) == {first.index, second.index}
    assert rows[first.index]["aliases"] == [alias]
    assert rows[first.index]["models"][0]["state"] == "DEPLOYED"
    moved = json.loads(run("promote", "--alias", alias, "--index", second.index, "--json").stdout)
    assert moved == {"alias": alias, "index": second.index, "before": first.index}
    assert json.loads(run("rollback", "--alias", alias, "--json").stdout)["index"] == first.index
    table = run("list", "--alias", alias)
    assert table.exit_code == 0
    assert ModelReference.__name__ not in table.stdout


def test_a_dry_run_of_each_command_prints_its_requests_and_sends_none(run, cluster, two):
    alias, _, second = two
    fill(cluster, second.index, 2)
    before = cluster.request("GET", f"/{alias}*")
    planned = {
        command: [(request["method"], request["path"]) for request in json.loads(answer.stdout)["requests"]]
        for command, answer in {
            "promote": run("promote", "--alias", alias, "--index", second.index, "--dry-run", "--json"),
            "undeploy": run("undeploy", "--index", second.index, "--dry-run", "--json"),
            "delete": run("delete", "--index", second.index, "--dry-run", "--json"),
        }.items()
    }
    model = f"/_plugins/_ml/models/{second.model_id}"
    assert planned["promote"][-2:] == [("PUT", f"/{second.index}/_mapping"), ("POST", "/_aliases")]
    assert planned["undeploy"] == [("POST", f"{model}/_undeploy")]
    pipeline = ("DELETE", f"/_ingest/pipeline/{pipeline_name(second.index)}")
    assert {("DELETE", model), pipeline, ("DELETE", f"/{second.index}")} <= set(planned["delete"])
    assert cluster.request("GET", f"/{alias}*") == before
    assert model_state(cluster, second.model_id) == "DEPLOYED"


def test_deleting_wants_a_yes_and_never_takes_what_searches_go_to(run, cluster, two):
    alias, first, _ = two
    assert run("delete", "--index", first.index).exit_code == 2
    refused = run("delete", "--index", first.index, "--yes")
    assert refused.exit_code == 1
    assert alias in refused.stderr
    assert alias_target(cluster, alias) == first.index


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "nowhere.zip", "--seismic-threshold", "1"],
        ["--model", ".", "--via-url", "file:///x.zip"],
        ["--model", "x.zip", "--prune", "half"],
    ],
)
def test_a_wrong_use_ends_with_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_a_deleted_version_leaves_rollback_with_the_names_of_the_others(run, cluster, two):
    alias, first, second = two
    fill(cluster, second.index, 2)
    promote(cluster, alias, second.index)
    gone = json.loads(run("delete", "--index", first.index, "--yes", "--json").stdout)
    assert gone["models"] == [first.model_id]
    refused = run("rollback", "--alias", alias)
    assert refused.exit_code == 1
    assert first.index in refused.stderr
    assert alias_target(cluster, alias) == second.index
