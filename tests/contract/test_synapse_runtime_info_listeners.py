# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where synapse_runtime_info reads the metrics of a server: every kind of listener that Synapse has."""

from __future__ import annotations

import json
import subprocess
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place

_METRICS = {"resources": [{"names": ["metrics"]}]}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server that is restarted with other listeners."""
    with servers.own_servers("sqlite") as [server]:
        yield Place(server, "listeners", tmp_path_factory.mktemp("listeners"))


def _restart(place: Place, listener: dict[str, t.Any], **settings: t.Any) -> int:
    """Restart the server with a listener in place of the one of its metrics, and return the port of that one."""
    first, old = yaml.safe_load(Path(place.server.config_path[0]).read_text())["listeners"]
    settings["listeners"] = [first, {**({} if "path" in listener else {"port": old["port"]}), **listener}]
    Path(place.server.config_path[1], "90-listeners.yaml").write_text(json.dumps(settings))
    servers.restart(place.server)
    return int(old["port"])


def _metrics_url(place: Place) -> str:
    seen = runtime.look(place, gather=["activity"])
    assert seen["unknown"] == []
    process = runtime.main_process(seen)
    assert process["event_loop"]["ticks"] > 0
    return str(process["metrics_url"])


def test_a_metrics_listener_on_ipv6(alone: Place) -> None:
    port = _restart(alone, {"type": "metrics", "bind_addresses": ["::1"]})
    assert _metrics_url(alone) == f"http://[::1]:{port}/_synapse/metrics"


def test_a_resource_of_a_listener_on_all_addresses(alone: Place) -> None:
    port = _restart(alone, {"type": "http", **_METRICS})
    assert _metrics_url(alone) in {f"http://[::1]:{port}/_synapse/metrics", f"http://127.0.0.1:{port}/_synapse/metrics"}


def test_a_unix_socket(alone: Place) -> None:
    path = alone.directory / "metrics.sock"
    _restart(alone, {"type": "http", "path": str(path), **_METRICS})
    assert _metrics_url(alone) == f"http+unix://{urllib.parse.quote(str(path), safe='')}/_synapse/metrics"


def test_a_listener_with_tls(alone: Place) -> None:
    certificate, key = alone.directory / "certificate.pem", alone.directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.org", "-days", "1"]
        + ["-out", str(certificate), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    listener = {"type": "http", "tls": True, "bind_addresses": ["127.0.0.1"], **_METRICS}
    paths = {"tls_certificate_path": str(certificate), "tls_private_key_path": str(key)}
    port = _restart(alone, listener, **paths)
    assert _metrics_url(alone) == f"https://127.0.0.1:{port}/_synapse/metrics"


def test_without_a_listener_the_setting_is_named(alone: Place) -> None:
    _restart(alone, {"type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["health"]}]})
    seen = runtime.look(alone, gather=["activity", "rates", "memory"], rate_interval=1)
    process = runtime.main_process(seen)
    assert "event_loop" not in process
    assert process["memory"]["resident_bytes"] > 0
    assert process["rates"].keys() == {"seconds", "cpu_share"}
    assert [one["name"] for one in seen["unknown"]] == ["activity", "rates"]
    assert "type: metrics" in seen["unknown"][0]["fix"]
