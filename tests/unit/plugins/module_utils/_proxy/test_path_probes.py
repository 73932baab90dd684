# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import INTACT, Probe
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import (
    baseline_of,
    long_probe,
    narrower,
    probes_of,
    query_probes,
    safe_media_probe,
    status_probe,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import (
    MODES,
    found_with,
    summary,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    PUBLIC,
    Page,
    Proxy,
    refusing,
    synapse,
)

GROUPS = ("client", "media", "federation", "key")


def all_probes(name: str) -> list[Probe]:
    first = [probe for group in GROUPS for probe in (*probes_of(group, name), *narrower(group, name))]
    queries = ("client", "federation")
    later = [probe for group in queries for probe in (*query_probes(group), long_probe(group))]
    statuses = [probe for probe in map(status_probe, GROUPS) if probe]
    return [*first, *(baseline_of(group) for group in GROUPS), *later, *statuses, safe_media_probe()]


@pytest.mark.parametrize("name", ["example.org", "localhost:8480", "[2001:db8::1]:8448", "10.0.0.1"])
def test_synapse_answers_all_as_expected(name: str) -> None:
    for probe in all_probes(name):
        page = synapse(probe.target)
        answer = Answer(PUBLIC, probe.request, "0", page.status, page.headers, page.body, 0.1, "HTTP/1.1", "a", "b")
        assert probe.read(answer).state == INTACT, probe.target
        assert probe.expected.startswith(str(answer.status))


def test_what_is_sent_is_a_valid_target() -> None:
    for probe in all_probes("[2001:db8::1]:8448"):
        assert re.fullmatch(r"/_matrix/[!-~]*", probe.target)
        assert not re.search(r"%(?![0-9A-Fa-f]{2})|#", probe.target)
        assert probe.request.method == "GET"
        assert not probe.request.headers


def test_the_named_characters_are_those_of_the_path() -> None:
    for probe in all_probes("example.org"):
        path, _mark, query = probe.target.partition("?")
        for character in probe.characters:
            assert character in (query if probe.purpose == "query" else path)
    for group in GROUPS:
        for probe in narrower(group, "example.org"):
            assert "%2f" not in probe.target.lower()
    assert all("%25" not in probe.target for probe in narrower("media", "example.org")[1:])


def test_each_kind_of_federation_path() -> None:
    targets = [probe.target for probe in probes_of("federation", "example.org")]
    for text in ("/v1/event/", "/v1/make_join/", "/v2/send_join/"):
        assert any(text in target and "%2F" in target for target in targets)
    assert max(len(target) for target in targets) > 4000


def test_other_groups_have_no_paths() -> None:
    assert probes_of("well_known", "example.org") == []
    assert narrower("well_known", "example.org") == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("pattern", "characters"), [("%2f", "%2F"), ("%2f|%25", "%2F and %25")])
def test_characters_are_refused_in_queries_too(pattern: str, characters: str, mode: str) -> None:
    found, _world = found_with(lambda target: Page(403) if re.search(pattern, target, re.I) else target, mode)
    assert summary(found) == {"path_refused": ("error", ("client", "media", "federation", "key"))}
    assert "paths and queries of the groups" in found.findings[0].what
    assert f"that contain {characters}, so" in found.findings[0].what
    assert found.unknown == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("pattern", "characters"),
    [("%2f", "%2F"), ("%2f|%25", "some of %2F and %25"), ("%21", "some of %3A, %2F, %21 and %25")],
)
def test_characters_are_refused_only_in_queries(pattern: str, characters: str, mode: str) -> None:
    def proxy(target: str) -> str | Page:
        return Page(403) if re.search(pattern, target.partition("?")[2], re.I) else target

    found, _world = found_with(proxy, mode)
    assert summary(found) == {"path_refused": ("error", ("client", "federation"))}
    assert f"answers 403 to queries of the groups client and federation that contain {characters}" in (
        found.findings[0].what
    )
    assert found.unknown == ()


def spaced(target: str) -> str | Page:
    """Decode as `$uri` of nginx does, with what Twisted answers to a space and to bytes that are not ASCII."""
    path, mark, query = target.partition("?")
    decoded = unquote(path)
    return Page(400, b"", ()) if re.search("[^!-~]", decoded) else decoded + mark + query


@pytest.mark.parametrize("mode", MODES)
def test_a_decoded_space_is_not_refused_by_the_proxy(mode: str) -> None:
    found, _world = found_with(spaced, mode)
    assert found.unknown == ()
    assert set(summary(found)) == {"path_decoded"}
    assert "media" in summary(found)["path_decoded"][1]
    assert "%25" in found.findings[0].what


@pytest.mark.parametrize("mode", MODES)
def test_refusals_without_a_body(mode: str) -> None:
    def proxy(pattern: str) -> Proxy:
        return lambda target: Page(400, b"", ()) if re.search(pattern, target.partition("?")[0], re.I) else target

    found, _world = found_with(proxy("%2f"), mode)
    assert summary(found) == {"path_refused": ("error", ("client", "media", "federation", "key"))}
    assert "that contain %2F, so" in found.findings[0].what
    found, _world = found_with(proxy("%20"), mode)
    assert summary(found) == {"path_refused": ("error", ("media",))}
    assert "that contain %20, so" in found.findings[0].what


def test_what_is_never_sent_can_be_refused() -> None:
    found, _world = found_with(refusing("%00|%0[ad]|%5c|%3c|%27|%2e|<|'", 403))
    assert found.findings == ()
    assert found.unknown == ()


def test_hexadecimal_digits_in_upper_case() -> None:
    found, _world = found_with(lambda target: re.sub("%..", lambda match: match[0].upper(), target))
    assert summary(found) == {"path_rewritten": ("warning", ("media",))}
    assert "%2f became %2F" in found.findings[0].what
