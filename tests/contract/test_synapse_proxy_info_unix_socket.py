# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_proxy_info finds if the reverse proxy and the module reach Synapse only over a Unix socket."""

from __future__ import annotations

import os
import re
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import GATHER, LONG_POLL
from ansible_collections.matrix_ops.synapse.tests.contract import proxies, proxy_cases, servers
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_cases import Stage
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import right
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import Wrong
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configurations import WRONG

pytestmark = pytest.mark.xdist_group("reverse proxies")

# How a configuration names the socket where it otherwise has an address.
_NAMED = {
    "nginx": ("http://{address}", "http://unix:{path}"),
    "apache": ("http://{address}", "unix:{path}|http://localhost"),
    "caddy": ("{address}", "unix/{path}"),
    "haproxy": ("{address}", "unix@{path}"),
}
# One mistake of each finding whose lines forward requests, for each proxy.
_WRONG = {(row.kind, row.finding): row for row in WRONG if row.finding in ("path_decoded", "path_not_forwarded")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stage]:
    """One Synapse for all proxies, which listens only at a socket."""
    with (
        proxy_cases.staged(tmp_path_factory.mktemp("proxies")) as made,
        tempfile.TemporaryDirectory(prefix="s_") as directory,
    ):
        # Proxies drop their privileges.
        os.chmod(directory, 0o755)
        server = made.place.server
        Path(server.config_path[1], "80-forwarded.yaml").unlink()
        servers.listen_at_socket(server, f"{directory}/main.sock")
        yield made


def _at_socket(stage: Stage, kind: str, text: str) -> str:
    """Return a configuration that forwards to the socket."""
    values = {"address": stage.wiring(kind).backend, "path": stage.place.server.unix_socket}
    address, path = (name.format(**values) for name in _NAMED[kind])
    assert address in text
    if kind == "nginx":
        # There the path ends with a colon if something follows.
        text = re.sub(f"{re.escape(address)}(?=[/$])", f"{path}:", text)
    return text.replace(address, path)


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_right(stage: Stage, kind: str) -> None:
    stage.run(kind, _at_socket(stage, kind, right(kind, stage.wiring(kind))))
    seen = stage.look(kind, gather=[part for part in GATHER if part != LONG_POLL])
    assert seen["findings"] == []
    assert seen["unknown"] == []


@pytest.mark.parametrize("row", _WRONG.values(), ids=str)
def test_wrong_and_corrected(stage: Stage, row: Wrong) -> None:
    wiring = stage.wiring(row.kind)
    stage.run(row.kind, _at_socket(stage, row.kind, row.text(wiring)))
    seen = stage.look(row.kind, gather=["paths"])
    [finding] = [each for each in seen["findings"] if each["name"] == row.finding]
    lines = finding["fix"][row.kind]["lines"]
    assert wiring.backend not in str(finding["fix"])
    # It cannot forward to a socket.
    assert "traefik" not in finding["fix"]
    stage.run(row.kind, _at_socket(stage, row.kind, row.text(wiring, lines)))
    assert stage.look(row.kind, gather=["paths"])["findings"] == []


def test_long_poll(stage: Stage) -> None:
    stage.run("nginx", _at_socket(stage, "nginx", right("nginx", stage.wiring("nginx"))))
    seen = stage.look("nginx", gather=[LONG_POLL], long_poll_seconds=1)
    assert (seen["findings"], seen["unknown"]) == ([], [])


def test_without_a_server(stage: Stage, tmp_path: Path) -> None:
    path = str(tmp_path / "no.sock")
    seen = stage.look("nginx", gather=["paths"], unix_socket=path)
    [direct] = [each for each in seen["unknown"] if each["name"] == "direct"]
    assert f"over {path}: " in direct["reason"]
    assert f"unix_socket {path} does not exist" in direct["reason"]
