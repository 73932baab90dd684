# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_proxy_info says if there is no Matrix server at the public URL, or if the task itself is wrong."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import proxy_cases, servers
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, play
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_cases import Stage
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import BLOCK, replaced, right

pytestmark = pytest.mark.xdist_group("reverse proxies without Synapse")

_PARKED = "<html><head><title>This domain is for sale</title></head><body>Buy it</body></html>"
_LOGIN = "<html><title>Sign in</title><form method=post><input name=user><input type=password name=p></form></html>"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stage]:
    """A Synapse, whose proxies do not lead to it."""
    with proxy_cases.staged(tmp_path_factory.mktemp("proxies")) as made:
        yield made


def _page(status: int, body: str) -> str:
    return f"        location / {{ default_type text/html; return {status} '{body}'; }}"


@pytest.mark.parametrize(
    ("block", "name", "words"),
    [
        (_page(200, _PARKED), "not_matrix", "the page of a parked domain"),
        (_page(200, _LOGIN), "not_matrix", "login page"),
        ("        location / { return 302 $scheme://$host$request_uri; }", "redirect_loop", "redirects"),
        ("        location / { return 301 https://elsewhere.invalid$request_uri; }", "redirected", "elsewhere.invalid"),
        ("        location / { proxy_pass http://127.0.0.1:1; }", "proxy_error", "502"),
        ("        location / { return 404; }", "path_not_forwarded", "404"),
        ("        location / { auth_basic a; auth_basic_user_file /dev/null; }", "not_matrix", "password"),
        ("        location / { return 444; }", "unreachable", "closed"),
    ],
    ids=["parked", "login page", "redirect loop", "redirect", "no Synapse", "not forwarded", "password", "closed"],
)
def test_no_matrix_server(stage: Stage, block: str, name: str, words: str) -> None:
    text = right("nginx", stage.wiring("nginx"))
    well_known = text[text.index("        location /.well-known") : text.index("        # forwarding")]
    stage.run("nginx", replaced(replaced(text, BLOCK, block), well_known, ""))
    seen = stage.look("nginx", gather=["body_size", "cors", "exposure", "headers", "paths", "signatures"])
    assert {(finding["site"], finding["name"]) for finding in seen["findings"]} <= {
        ("client", name),
        ("federation", name),
    }
    [finding] = [finding for finding in seen["findings"] if finding["site"] == "client"]
    assert words in finding["what"]
    _require_sentence(finding["what"])
    assert seen["requests"] < 20


def _require_sentence(text: str) -> None:
    assert text.endswith(".")
    assert text[0].isupper() or text.startswith("http")
    assert "\n" not in text
    assert len(text) < 500


def test_nobody_listens(stage: Stage) -> None:
    [closed] = servers.free_ports(1)
    name = stage.place.server.name
    connect_to = dict.fromkeys((f"{name}:443", f"{name}:8448"), f"127.0.0.1:{closed}")
    seen = stage.look("nginx", connect_to=connect_to)
    found = {finding["name"]: finding for finding in seen["findings"]}
    assert set(found) == {"unreachable", "port_8448_closed"}
    assert "refused the connection" in found["unreachable"]["what"]
    for finding in found.values():
        _require_sentence(finding["what"])


def test_a_name_that_does_not_exist(stage: Stage) -> None:
    seen = stage.look("nginx", public_url="https://matrix.invalid", connect_to={}, gather=["paths"])
    [finding] = seen["findings"]
    assert finding["name"] == "name_not_found"
    _require_sentence(finding["what"])


def test_only_ipv6(stage: Stage) -> None:
    wiring = stage.wiring("nginx")
    text = right("nginx", wiring).replace("listen 127.0.0.1:", "listen [::1]:")
    # The test waits until the ports of IPv4 are open too.
    both = "".join(f"server {{ listen 127.0.0.1:{port}; return 444; }}\n" for port in wiring.ports)
    stage.run("nginx", text.replace("    server {\n", f"    {both}    server {{\n", 1))
    name = stage.place.server.name
    connect_to = dict.fromkeys((f"{name}:443", f"{name}:8448"), f"[::1]:{wiring.https_port}")
    seen = stage.look("nginx", connect_to=connect_to)
    assert seen["findings"] == []


def _wrong(tmp_path: Path) -> list[tuple[Parameters, str]]:
    return [
        ({"public_url": "matrix.example.org"}, "public_url 'matrix.example.org' is not the URL of a server"),
        ({"public_url": "https://m.test/_matrix"}, "public_url .* contains the path of an endpoint"),
        ({"public_url": "https://m.test/path"}, "public_url .* contains a path"),
        ({"public_url": "https://user:word@m.test"}, "public_url contains a user name or password"),
        ({"connect_to": {"m.test": "127.0.0.1:1"}}, "connect_to contains 'm.test'"),
        ({"connect_to": {"m.test:443": "127.0.0.1:99999"}}, "connect_to contains"),
        ({"nameservers": ["dns.example.org"]}, "nameservers"),
        ({"server_name": "https://m.test"}, "server_name|is not a Matrix server name"),
        ({"server_name": "other.test"}, "is 'sqlite.test', but server_name is other.test"),
        ({"config_path": [str(tmp_path / "none.yaml")]}, "none.yaml does not exist"),
        ({"log_path": [str(tmp_path / "none.log")]}, "log_path"),
        ({"log_path": [str(tmp_path)]}, "log_path"),
        ({"ca_path": str(tmp_path / "none.pem")}, "ca_path"),
        ({"max_upload_size": "much"}, "max_upload_size is 'much'"),
        ({"max_upload_size": "-1"}, "max_upload_size is '-1'"),
        ({"long_poll_seconds": 1000}, "long_poll_seconds is 1000"),
        ({"long_poll_seconds": 0}, "long_poll_seconds is 0"),
        ({"public_url": "https://{{ name }}"}, "public_url .* is not the URL of a server"),
        ({"connect_to": {"m.test:443": "no.invalid:443"}}, "connect_to contains 'no.invalid:443', but the name"),
        ({"timeout": 0}, "timeout is 0"),
    ]


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("check", [False, True])
def test_a_task_that_is_wrong(stage: Stage, number: int, tmp_path: Path, *, check: bool) -> None:
    wrong = _wrong(tmp_path)
    assert len(wrong) == 20
    parameters, words = wrong[number]
    seen = play(stage.place, proxy_cases.MODULE, stage.parameters("nginx", **parameters), check=check)
    assert seen.get("failed"), seen
    assert re.search(words, seen["msg"]), seen["msg"]
    _require_one_line(seen["msg"])


def _require_one_line(text: str) -> None:
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 500


def test_a_token_is_only_read_where_it_is_needed(stage: Stage, tmp_path: Path) -> None:
    more: Parameters = {"access_token": None, "access_token_path": str(tmp_path / "none")}
    assert not play(
        stage.place, proxy_cases.MODULE, stage.parameters("nginx", gather=["cors"], **more), token=False
    ).get("failed")
    refused = play(
        stage.place, proxy_cases.MODULE, stage.parameters("nginx", gather=["long_poll"], **more), token=False
    )
    assert refused["failed"]
    assert "access_token_path" in refused["msg"]
