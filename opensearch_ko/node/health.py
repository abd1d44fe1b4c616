"""Asking a node over HTTP whether it is ready."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence

from opensearch_ko.node.machine import LOOPBACK

ANSWER_TIMEOUT_SECONDS = 5.0


def answer(port: int, path: str) -> bytes | None:
    """Return what the node on `port` says to GET `path`, None when it doesn't answer with 200.

    Speaks HTTP itself: the proxy settings of the environment must not be asked for the way to this machine.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return body if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def ml_commons_answers(ports: Sequence[int]) -> bool:
    """Tell whether all nodes found each other and ML Commons answers on each."""
    for port in ports:
        health = answer(port, "/_cluster/health")
        if health is None or json.loads(health)["number_of_nodes"] != len(ports):
            return False
        if answer(port, "/_plugins/_ml/stats") is None:
            return False
    return True


def indexes_are_open(port: int) -> bool:
    """Tell whether each index that was there before the start can be searched again."""
    health = answer(port, "/_cluster/health")
    return health is not None and json.loads(health)["status"] != "red"
