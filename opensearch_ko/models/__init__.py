"""A model's life in ML Commons: registered, deployed, asked, compared with its card, kept running, taken down."""

from __future__ import annotations

from opensearch_ko.models.lifecycle import DeployedModel, answers, delete, deploy, ensure_deployed, undeploy
from opensearch_ko.models.polling import Step
from opensearch_ko.models.prediction import Probe, predict_dense, predict_sparse, verify_answer, verify_deployed
from opensearch_ko.models.registration import (
    CHUNK_BYTES,
    MODELS,
    RegisteredModel,
    chunk_count,
    find_models,
    model_state,
    register,
    registration,
    registration_by_url,
)
from opensearch_ko.models.running import ensure_running, keep_running
from opensearch_ko.models.words import node_errors

__all__ = [
    "CHUNK_BYTES",
    "MODELS",
    "DeployedModel",
    "Probe",
    "RegisteredModel",
    "Step",
    "answers",
    "chunk_count",
    "delete",
    "deploy",
    "ensure_deployed",
    "ensure_running",
    "find_models",
    "keep_running",
    "model_state",
    "node_errors",
    "predict_dense",
    "predict_sparse",
    "register",
    "registration",
    "registration_by_url",
    "undeploy",
    "verify_answer",
    "verify_deployed",
]
