# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_proxy_info finds in front of a Synapse: nothing behind right proxies, and each mistake of wrong ones.

A mistake is corrected with the lines that the module suggests, and then it finds nothing any more.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import GATHER
from ansible_collections.matrix_ops.synapse.tests.contract import name_server, proxies, proxy_cases, servers
from ansible_collections.matrix_ops.synapse.tests.contract.certificates import Certificate, make_authority
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_cases import Stage
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import right
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import Wrong
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configurations import WRONG

pytestmark = pytest.mark.xdist_group("reverse proxies")

# What has to be gathered for the findings whose names begin so; for others nothing has to.
_GATHER = {
    "admin_api_": "exposure",
    "authorization_": "signatures",
    "body_": "body_size",
    "cors_": "cors",
    "errors_": "paths",
    "forwarded_": "headers",
    "health_": "exposure",
    "host_": "headers",
    "http_": "headers",
    "long_url_": "paths",
    "metrics_": "exposure",
    "path_": "paths",
    "query_": "paths",
    "read_": "long_poll",
    "well_known_": "delegation",
}
# They pass on how Synapse names itself, instead of their own name.
_WITHOUT_NAME = {"apache", "haproxy"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stage]:
    """One Synapse for all proxies."""
    with proxy_cases.staged(tmp_path_factory.mktemp("proxies")) as made:
        yield made


def _names(seen: Result) -> set[str]:
    return {finding["name"] for finding in seen["findings"]}


@pytest.mark.parametrize("kind", proxies.KINDS)
@pytest.mark.parametrize("delegated", [True, False], ids=["delegated", "on port 8448"])
def test_right_with_https(stage: Stage, kind: str, *, delegated: bool) -> None:
    stage.run(kind, right(kind, stage.wiring(kind, delegated=delegated)))
    seen = stage.look(kind, gather=list(GATHER), long_poll_seconds=1)
    assert seen["findings"] == []
    assert seen["unknown"] == []
    assert seen["proxy"] == ("" if kind in _WITHOUT_NAME else kind)
    assert seen["delegation"]["method"] == ("well_known_port" if delegated else "default")
    assert [each["site"] for each in seen["certificates"]] == (["client"] if delegated else ["client", "federation"])


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_right_with_http(stage: Stage, kind: str) -> None:
    stage.run(kind, right(kind, stage.wiring(kind)))
    seen = stage.look(kind, "http", gather=["body_size", "cors", "exposure", "headers", "paths", "signatures"])
    assert seen["findings"] == []
    assert seen["unknown"] == []


@pytest.mark.parametrize("row", WRONG, ids=str)
def test_wrong_and_corrected(stage: Stage, row: Wrong) -> None:
    wiring = stage.wiring(row.kind)
    gather = [part for beginning, part in _GATHER.items() if row.finding.startswith(beginning)]
    # Longer than the wrong proxies wait: Synapse answers up to a tenth earlier.
    more: Parameters = {"gather": gather, "long_poll_seconds": 2}
    stage.run(row.kind, row.text(wiring))
    seen = stage.look(row.kind, **more)
    assert _names(seen) == {row.finding, *row.also}
    finding = next(each for each in seen["findings"] if each["name"] == row.finding)
    stage.run(row.kind, row.text(wiring, finding["fix"][row.kind]["lines"]))
    assert stage.look(row.kind, **more)["findings"] == []


def test_port_of_federation_closed(stage: Stage) -> None:
    stage.run("nginx", right("nginx", stage.wiring("nginx", delegated=False)))
    [closed] = servers.free_ports(1)
    connect_to = stage.parameters("nginx")["connect_to"]
    connect_to[f"{stage.place.server.name}:8448"] = f"127.0.0.1:{closed}"
    seen = stage.look("nginx", gather=["delegation"], connect_to=connect_to)
    assert "port_8448_closed" in _names(seen)
    assert {finding["site"] for finding in seen["findings"]} == {"federation"}


def test_service_record(stage: Stage) -> None:
    wiring = stage.wiring("nginx", delegated=False)
    stage.run("nginx", right("nginx", wiring))
    name = stage.place.server.name
    with name_server.running((f"_matrix-fed._tcp.{name}", "localhost", wiring.https_port)) as address:
        seen = stage.look("nginx", nameservers=[address])
    assert seen["findings"] == []
    assert seen["delegation"]["method"] == "srv"
    assert seen["delegation"]["targets"] == [f"localhost:{wiring.https_port}"]


def _of_another_name(stage: Stage) -> Certificate:
    return stage.authority.issue(["other.test"])


def _expired(stage: Stage) -> Certificate:
    return stage.authority.issue([stage.place.server.name], -1)


def _short(stage: Stage) -> Certificate:
    return stage.authority.issue([stage.place.server.name], 3)


def _of_another_authority(stage: Stage) -> Certificate:
    return make_authority(stage.place.directory / "another").issue([stage.place.server.name])


@pytest.mark.parametrize(
    ("finding", "issue"),
    [
        ("certificate_wrong_name", _of_another_name),
        ("certificate_expired", _expired),
        ("certificate_expires_soon", _short),
        ("certificate_not_trusted", _of_another_authority),
    ],
)
def test_wrong_certificate(stage: Stage, finding: str, issue: t.Callable[[Stage], Certificate]) -> None:
    stage.run("nginx", right("nginx", stage.wiring("nginx", certificate=issue(stage))))
    assert _names(stage.look("nginx", gather=["certificates"])) == {finding}


def test_nothing_written(stage: Stage) -> None:
    server = stage.place.server
    stage.run("nginx", right("nginx", stage.wiring("nginx")))
    tables = (
        "users",
        "events",
        "devices",
        "access_tokens",
        "destinations",
        "remote_media_cache",
        "local_media_repository",
    )

    def shown() -> list[t.Any]:
        return [server.rows(f"SELECT count(*) FROM {table}") for table in tables]

    before = shown()
    seen = stage.look("nginx", gather=list(GATHER), long_poll_seconds=1)
    assert shown() == before
    assert not [secret for secret in server.secrets if secret in str(seen)]


def test_only_public(stage: Stage) -> None:
    """Without Synapse itself, its files and a token, the same mistakes are found."""
    row = next(row for row in WRONG if (row.kind, row.finding) == ("nginx", "path_decoded"))
    stage.run("nginx", row.text(stage.wiring("nginx")))
    [closed] = servers.free_ports(1)
    more: Parameters = {
        **dict.fromkeys(("config_path", "log_path", "synapse_python", "access_token")),
        "base_url": f"http://127.0.0.1:{closed}",
        "server_name": stage.place.server.name,
        "gather": ["paths"],
    }
    seen = stage.look("nginx", **more)
    assert "path_decoded" in _names(seen)
    assert "direct" in {each["name"] for each in seen["unknown"]}
