"""A node of 512 MB that is restarted, closed by its circuit breakers and misconfigured: models come back, nothing is lost."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from opensearch_ko.cluster import connect
from opensearch_ko.deployment import bundle_of, deploy_archive, rehearse
from opensearch_ko.errors import ClusterError, DeployError
from opensearch_ko.indexes import read_meta
from opensearch_ko.models import MODELS, delete, ensure_deployed, ensure_running, model_state, predict_sparse, undeploy
from opensearch_ko.models.polling import comes_true
from opensearch_ko.node import EmbeddedNode, NodeSettings
from opensearch_ko.preflight import ML_PREFIX

sys.path.insert(0, str(Path(__file__).parent))
from deploy_archives import PROBE_TEXT, dense_archive, registered, sparse_archive, words_archive

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def node():
    folder = Path(tempfile.mkdtemp(prefix="sparse-ko-"))  # pytest's own are closed to the node's account, and go after three runs
    folder.chmod(0o755)
    node = EmbeddedNode(NodeSettings(port=0, home=folder / "node", heap="512m"))
    try:
        node.start()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder)


@pytest.fixture
def cluster(node):
    return connect(node.status().url)


@pytest.fixture
def settings(cluster):
    """Put settings of ML Commons for one test."""
    put = {}

    def change(**values):
        put.update({f"{ML_PREFIX}{name}": None for name in values})
        cluster.request("PUT", "/_cluster/settings", {"persistent": {f"{ML_PREFIX}{name}": value for name, value in values.items()}})

    yield change
    cluster.request("PUT", "/_cluster/settings", {"persistent": put})


def bring_up(cluster, archive, index, **options):
    steps = []
    return deploy_archive(cluster, archive, index, on_step=steps.append, **options), steps


def test_settings_that_stand_in_the_way_change_only_on_request(cluster, settings, tmp_path):
    archive = words_archive(tmp_path, seed=1)
    wanted = {"allow_registering_model_via_local_file": True, "max_model_on_node": 1}
    settings(allow_registering_model_via_local_file=False, max_model_on_node=0)
    with pytest.raises(ClusterError, match=r"may not be uploaded .* holds 0 models and 1 are to come") as refusal:
        bring_up(cluster, archive, "settings")
    assert "--apply-settings" in refusal.value.remedy
    first = rehearse(cluster, bundle_of(archive), "settings")[1][0]
    assert (first.path, first.body) == ("/_cluster/settings", {"persistent": {f"{ML_PREFIX}{name}": on for name, on in wanted.items()}})
    assert registered(cluster, archive) == []
    done, _ = bring_up(cluster, archive, "settings", apply_needed_settings=True)
    assert not done.already
    delete(cluster, done.model_id)


@pytest.mark.parametrize(
    ("breaker", "words"),
    [
        ({"jvm_heap_memory_threshold": 1}, "Memory Circuit Breaker is open"),
        ({"disk_free_space_threshold": "900tb"}, "Disk Circuit Breaker is open"),
        ({"max_model_on_node": 0}, "Exceed max local model per node limit"),
    ],
)
def test_a_breaker_that_is_open_shows_its_words_and_the_next_try_goes_on(cluster, settings, tmp_path, breaker, words):
    archive = words_archive(tmp_path, seed=2)
    settings(**breaker)
    with pytest.raises(DeployError, match=words) as refusal:
        ensure_deployed(cluster, archive)
    assert refusal.value.remedy
    [left] = registered(cluster, archive)
    settings(**dict.fromkeys(breaker))
    assert ensure_deployed(cluster, archive).model_id == left.model_id
    delete(cluster, left.model_id)


def test_after_a_restart_every_model_of_an_index_comes_back_and_nothing_is_lost(node, cluster, tmp_path):
    encoder, dense, other = sparse_archive(tmp_path / "e"), dense_archive(tmp_path / "d"), words_archive(tmp_path / "w", seed=3)
    bring_up(cluster, encoder, "kept", dense=dense)
    cluster.request("PUT", "/kept/_doc/1", {"passage": PROBE_TEXT}, params={"refresh": "true"})
    stored = cluster.request("GET", "/kept/_doc/1")["_source"]
    waiting = ensure_deployed(cluster, other).model_id
    undeploy(cluster, waiting)
    cluster.request("POST", f"{MODELS}/{waiting}/_deploy")  # and nobody waits for its end
    node.stop()
    node.start()

    again = connect(node.status().url)
    meta, steps = read_meta(again, "kept"), []
    ensure_running(again, meta, steps.append)
    assert any("waiting for" in step for step in steps)
    assert again.request("GET", "/kept/_doc/1")["_source"] == stored
    again.request("PUT", "/kept/_doc/2", {"passage": PROBE_TEXT})  # the pipeline's models run
    [weights] = predict_sparse(again, meta.encoder.model_id, [PROBE_TEXT])
    assert weights == pytest.approx(encoder.card.probe_weights, abs=1e-4)

    recovered = ensure_deployed(again, other)  # was in the midst of its deploy when the node stopped
    assert (recovered.model_id, recovered.state) == (waiting, "DEPLOYED")
    assert bring_up(again, encoder, "kept", dense=dense)[0].already
    silent = []
    ensure_running(again, meta, silent.append)
    assert silent == []


def test_a_model_that_failed_to_deploy_is_deployed_again(cluster, settings, tmp_path):
    archive = words_archive(tmp_path, seed=4)
    done, _ = bring_up(cluster, archive, "failed")
    undeploy(cluster, done.model_id)
    settings(disk_free_space_threshold="900tb")
    meta = read_meta(cluster, "failed")
    with pytest.raises(DeployError, match="Disk Circuit Breaker"):
        ensure_running(cluster, meta, lambda _: None)
    # the task ends before the model's record says so
    assert comes_true(lambda: model_state(cluster, done.model_id) == "DEPLOY_FAILED", 60)
    settings(disk_free_space_threshold=None)
    steps = []
    ensure_running(cluster, meta, steps.append)
    assert f"deploying {meta.encoder.title} again (it was DEPLOY_FAILED)" in steps
    assert predict_sparse(cluster, done.model_id, [PROBE_TEXT])[0]


def test_a_model_that_someone_deleted_is_an_error_with_the_way_out(cluster, tmp_path):
    archive = words_archive(tmp_path, seed=5)
    done, _ = bring_up(cluster, archive, "gone")
    delete(cluster, done.model_id)
    with pytest.raises(ClusterError, match=f"no longer has the model {done.model_id}") as refusal:
        ensure_running(cluster, read_meta(cluster, "gone"), lambda _: None)
    assert "sparse-ko deploy --model" in refusal.value.remedy
    again, _ = bring_up(cluster, archive, "gone")
    ensure_running(cluster, read_meta(cluster, "gone"), lambda _: None)
    assert read_meta(cluster, "gone").encoder.model_id == again.model_id
