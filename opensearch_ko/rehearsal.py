"""A cluster that is read but never written to: what would be sent is noted down, and answered as it would be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch_ko.cluster import Cluster
from opensearch_ko.models.prediction import Probe
from opensearch_ko.models.registration import MODELS, TASKS

_READS = re.compile(r"/(_search|_count)$")


@dataclass(frozen=True)
class PlannedRequest:
    """A request that would be sent."""

    method: str
    path: str
    body: dict[str, Any] | str | None = None


class Rehearsal(Cluster):
    """Run any work of this package on it to learn its requests (`--dry-run`): the very code that would send them.

    Reads go to the real cluster. Writes go into `requests`; what later reads would see of them (a model's state, a finished task, a
    setting) is answered from memory.

    Args:
        cluster: the real one.
        probes: what models answer, by their registered names: a model that is only planned cannot be asked.
    """

    def __init__(self, cluster: Cluster, probes: Mapping[str, Probe]) -> None:
        super().__init__(cluster.profile)
        self.requests: list[PlannedRequest] = []
        self._probes = dict(probes)
        self._models: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, Any] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | list[Any] | bytes | str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:  # noqa: ANN401  any JSON value
        """Answer as the cluster would; only reads are sent."""
        if method in {"GET", "HEAD"}:
            return self._read(method, path, params)
        if _READS.search(path):
            return super().request(method, path, body, params=params, timeout_seconds=timeout_seconds)
        shown = f"<{len(body):,} bytes>" if isinstance(body, bytes) else dict(body) if isinstance(body, Mapping) else None
        planned = PlannedRequest(method, path, shown)
        if planned not in self.requests[-1:]:  # a model is asked twice at most: whether it runs, and whether it is right
            self.requests.append(planned)
        if path.startswith(MODELS):
            return self._model_request(method, path, dict(body) if isinstance(body, Mapping) else {})
        if path == "/_cluster/settings" and isinstance(body, Mapping):
            self._settings |= body["persistent"]
        return {"acknowledged": True}

    def _read(self, method: str, path: str, params: Mapping[str, str] | None) -> Any:  # noqa: ANN401  any JSON value
        if path.startswith(f"{TASKS}/{{"):
            name = path.removeprefix(f"{TASKS}/{{task of ").removesuffix("}")
            return {"state": "COMPLETED", "model_id": _planned_id(name)}
        if path.removeprefix(f"{MODELS}/") in self._models:
            return self._models[path.removeprefix(f"{MODELS}/")]
        answer = super().request(method, path, params=params)
        if path == "/_cluster/settings":
            answer["persistent"] = answer.get("persistent", {}) | self._settings
        return answer

    def _model_request(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        model_id, _, action = path.removeprefix(f"{MODELS}/").partition("/")
        if model_id in {"_register_meta", "_register"}:
            self._models[_planned_id(body["name"])] = {"name": body["name"], "model_config": body.get("model_config")} | {
                "model_state": "REGISTERED"
            }
            return {"model_id": _planned_id(body["name"]), "task_id": f"{{task of {body['name']}}}"}
        if action.startswith("upload_chunk"):
            return {"status": "Uploaded"}
        if action == "_predict":
            return self._predict(model_id, body)
        known = self._model(model_id)
        if method == "DELETE":
            known["model_state"] = None
        elif action in {"_deploy", "_undeploy"}:
            known["model_state"] = "DEPLOYED" if action == "_deploy" else "UNDEPLOYED"
        return {"task_id": f"{{task of {known['name']}}}", "acknowledged": True}

    def _model(self, model_id: str) -> dict[str, Any]:
        if model_id not in self._models:
            self._models[model_id] = dict(super().request("GET", f"{MODELS}/{model_id}"))
        return self._models[model_id]

    def _predict(self, model_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if model_id not in self._models:  # nothing is planned for it, so it can be asked
            return dict(super().request("POST", f"{MODELS}/{model_id}/_predict", body))
        probe = self._probes.get(str(self._models[model_id]["name"]), Probe(text=""))
        if probe.vector:
            return {"inference_results": [{"output": [{"data": probe.vector}]}]}
        return {"inference_results": [{"output": [{"dataAsMap": {"response": [probe.weights]}}]}]}


def _planned_id(name: str) -> str:
    return f"{{model_id of {name}}}"
