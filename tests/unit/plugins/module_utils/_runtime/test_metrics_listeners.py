# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_listeners import (
    NoMetrics,
    metrics_urls,
)

METRICS = {"type": "metrics", "port": 9000}
WHERE = "/_synapse/metrics"


def resource(*names: str, **listener: t.Any) -> dict[str, t.Any]:
    return {"type": "http", "port": 8008, "resources": [{"names": list(names), "compress": False}], **listener}


@pytest.mark.parametrize(
    ("settings", "urls"),
    [
        ({"listeners": [METRICS]}, ["http://127.0.0.1:9000"]),
        (
            {"listeners": [{**METRICS, "bind_addresses": ["::1", "127.0.0.1"]}]},
            ["http://[::1]:9000", "http://127.0.0.1:9000"],
        ),
        ({"listeners": [{**METRICS, "bind_address": "192.0.2.1"}]}, ["http://192.0.2.1:9000"]),
        ({"listeners": [{**METRICS, "bind_address": "metrics.example"}]}, ["http://metrics.example:9000"]),
        ({"listeners": [{**METRICS, "bind_address": "fe80::1%eth0"}]}, ["http://[fe80::1%25eth0]:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["0.0.0.0"]}]}, ["http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["::"]}]}, ["http://[::1]:9000", "http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["0::0"]}]}, ["http://[::1]:9000", "http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": [""]}]}, ["http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": None}]}, ["http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "tls": True}]}, ["http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["a:b", "x@[y"]}]}, ["http://x%40%5By:9000"]),
        (
            {"listeners": [resource("client", "metrics", bind_addresses=["127.0.0.1"]), METRICS]},
            ["http://127.0.0.1:9000", "http://127.0.0.1:8008"],
        ),
        (
            {"listeners": [resource("client"), resource("metrics", port=8009)]},
            ["http://127.0.0.1:8009", "http://[::1]:8009"],
        ),
        (
            {
                "listeners": [
                    resource("metrics", tls=True, bind_addresses=["::1"]),
                    resource("metrics", port=None, path="/run/sy napse/s"),
                    resource("metrics", bind_addresses=["127.0.0.1"]),
                    METRICS,
                ]
            },
            [
                "http://127.0.0.1:9000",
                "http://127.0.0.1:8008",
                "http+unix://%2Frun%2Fsy%20napse%2Fs",
                "https://[::1]:8008",
            ],
        ),
        ({"listeners": [resource("metrics", port=None, path="s")]}, ["http+unix://%2Fvar%2Fs"]),
        ({"metrics_port": 9100}, ["http://127.0.0.1:9100"]),
        ({"metrics_port": 9100, "bind_port": 8448, "listeners": [METRICS]}, ["http://127.0.0.1:9100"]),
        ({"metrics_port": 9100, "metrics_bind_host": "192.0.2.1", "listeners": None}, ["http://192.0.2.1:9100"]),
        ({"metrics_port": 9100, "metrics_bind_host": ""}, ["http://127.0.0.1:9100"]),
        ({"no_tls": True, "listeners": [resource("metrics", tls=True), METRICS]}, ["http://127.0.0.1:9000"]),
        ({"enable_metrics": "false", "listeners": [METRICS]}, ["http://127.0.0.1:9000"]),
    ],
)
def test_where_the_main_process_serves_its_metrics(settings: dict[str, t.Any], urls: list[str]) -> None:
    settings = {"enable_metrics": True, "worker_listeners": [{**METRICS, "port": 9999}], **settings}
    found = metrics_urls(settings, worker=False, working_directory=lambda: "/var")
    assert found == [f"{url}{WHERE}" for url in urls]


def test_where_a_worker_serves_its_metrics() -> None:
    settings = {"enable_metrics": True, "listeners": [METRICS], "worker_listeners": [{**METRICS, "port": 9001}]}
    settings.update(metrics_port=9100, bind_port=8448, no_tls=True, worker_metrics_port=9101)
    assert metrics_urls(settings, worker=True) == [f"http://127.0.0.1:9001{WHERE}"]


def test_a_worker_serves_the_resource_even_if_metrics_are_not_enabled() -> None:
    http = resource("metrics", bind_addresses=["::1"])
    assert metrics_urls({"worker_listeners": [METRICS, http]}, worker=True) == [f"http://[::1]:8008{WHERE}"]
    assert isinstance(metrics_urls({"worker_listeners": [METRICS]}, worker=True), NoMetrics)
    assert isinstance(metrics_urls({"listeners": [http]}, worker=False), NoMetrics)


@pytest.mark.parametrize(
    ("settings", "reason", "fix"),
    [
        ({}, "no listener for metrics", "enable_metrics to true. Add a listener .* to listeners, and restart"),
        ({"listeners": [resource("client")], "enable_metrics": True}, "no listener", "^Add a listener"),
        ({"listeners": ["broken", 5]}, "no listener", "Add a listener"),
        ({"listeners": [resource("client", resources=[{"names": 5}, {"names": "metrics"}, 6])]}, "no listener", "Add"),
        ({"listeners": [METRICS]}, "enable_metrics is not true, so", "Set enable_metrics to true and restart"),
        ({"listeners": [METRICS], "enable_metrics": ""}, 'not true, but "", so', "Set enable_metrics"),
        ({"listeners": [METRICS], "bind_port": 8448}, "bind_port is set", "Remove bind_port"),
        ({"listeners": [resource("metrics", tls=True)], "no_tls": True}, "no_tls is set", "Remove no_tls"),
        (
            {"listeners": [{"type": "metrics", "path": "/s"}], "enable_metrics": True},
            "type metrics needs a port",
            "port: 9000",
        ),
        ({"listeners": [{**METRICS, "port": "9000"}], "enable_metrics": True}, "needs a port", "port: 9000"),
        ({"listeners": [{**METRICS, "port": 99999}], "enable_metrics": True}, "needs a port", "port: 9000"),
        (
            {"listeners": [resource("metrics", port=None, path="s")], "enable_metrics": True},
            "relative to the working directory",
            "with become, as root, or set an absolute path",
        ),
        (
            {"listeners": [resource("metrics", port=None, path="/s\0x")], "enable_metrics": True},
            "is not valid",
            "in listeners",
        ),
        ({"listeners": [{**METRICS, "bind_address": "\ud800"}], "enable_metrics": True}, "is not valid", "bind_add"),
    ],
)
def test_why_there_are_no_metrics(settings: dict[str, t.Any], reason: str, fix: str) -> None:
    answer = metrics_urls(settings, worker=False)
    assert isinstance(answer, NoMetrics)
    assert reason in answer.reason
    assert re.search(fix, answer.fix)
