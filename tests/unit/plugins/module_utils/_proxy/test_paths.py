# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import ask_paths, judge_paths
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import (
    FED,
    MODES,
    found_with,
    summary,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    ALL,
    FEDERATION,
    PUBLIC,
    NoLog,
    Page,
    Proxy,
    World,
    apache,
    encoding_twice,
    error,
    intact,
    nginx,
    only,
    refusing,
    subject_of,
    synapse,
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("two_sites", [True, False])
def test_nothing_is_wrong(mode: str, two_sites: bool) -> None:
    found, world = found_with(intact, mode, two_sites)
    assert found == Found()
    # Synapse itself is asked only where an answer is another one than expected.
    assert len(world.sent) == 13
    assert {place for place, _request in world.sent} == ({PUBLIC, FEDERATION} if two_sites else {PUBLIC})


@pytest.mark.parametrize("mode", MODES)
def test_nginx_with_a_path_in_proxy_pass(mode: str) -> None:
    found, _world = found_with(nginx, mode)
    assert found.unknown == ()
    # That it merges slashes has the same cause.
    assert summary(found) == {"path_decoded": ("error", ("client", "media", "federation", "key"))}
    decoded = found.findings[0]
    for character in ("%2F", "%3A", "%21", "%40", "%24"):
        assert character in decoded.what
    assert decoded.what.endswith("groups client, media, federation and key, so that signatures of other servers fail.")
    assert decoded.evidence["arrived"] != decoded.evidence["expected"]
    assert decoded.evidence["request"].endswith(decoded.evidence["expected"])
    assert decoded.site == "client"


def test_apache_without_nocanon() -> None:
    found, _world = found_with(apache)
    assert summary(found) == {"path_decoded": ("error", ("media",))}
    assert found.findings[0].values == {"characters": ["%3A", "%21", "%40", "%24"]}
    found, _world = found_with(apache, "log")
    assert summary(found) == {"path_decoded": ("error", ("client", "media", "federation", "key"))}
    assert "%2F" not in found.findings[0].what


@pytest.mark.parametrize(
    "proxy",
    [
        refusing("%2f", 404),
        refusing("%2f", 400),
        refusing("%2f", 403),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_encoded_slashes_are_refused(proxy: Proxy, mode: str) -> None:
    found, _world = found_with(proxy, mode)
    assert found.unknown == ()
    assert summary(found) == {"path_refused": ("error", ("client", "media", "federation", "key"))}
    assert "that contain %2F, so" in found.findings[0].what


def test_several_characters_are_refused() -> None:
    found, _world = found_with(refusing("%2f|%25|%23", 400))
    assert summary(found) == {"path_refused": ("error", ("client", "media", "federation", "key"))}
    assert found.findings[0].values == {"characters": ["%23", "%2F", "%25"]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", [f"{FED}/v1/make_join", f"{FED}/v2", f"{FED}/v1/event"])
def test_only_some_paths_are_decoded(mode: str, path: str) -> None:
    found, _world = found_with(only(path, nginx), mode)
    assert summary(found) == {"path_decoded": ("error", ("federation",))}
    assert path in found.findings[0].evidence["request"]


@pytest.mark.parametrize("mode", MODES)
def test_encoded_twice(mode: str) -> None:
    found, _world = found_with(encoding_twice, mode)
    groups = ("client", "media", "federation", "key") if mode == "log" else ("client", "media")
    assert summary(found) == {"path_encoded_twice": ("error", groups)}


@pytest.mark.parametrize("mode", MODES)
def test_the_beginning_is_cut(mode: str) -> None:
    found, _world = found_with(lambda target: target.replace("/_matrix", "", 1), mode)
    assert summary(found) == {"path_rewritten": ("error", ("client", "media", "federation", "key"))}
    if mode == "log":
        assert "(/_matrix was cut at the beginning), so that these requests fail" in found.findings[0].what


def test_the_beginning_of_one_group_is_replaced() -> None:
    found, _world = found_with(lambda target: target.replace(f"{FED}/v1", FED), "direct")
    assert summary(found) == {"path_rewritten": ("error", ("federation",))}


@pytest.mark.parametrize("mode", MODES)
def test_groups_that_are_not_forwarded(mode: str) -> None:
    def proxy(target: str) -> str | Page:
        return target if target.startswith("/_matrix/client") else Page(404)

    found, world = found_with(proxy, mode, two_sites=True)
    # Where nothing passes, there is no need to try fewer characters.
    assert not [request for _place, request in world.sent if "ab%3Ac" in request.target]
    assert [(one.name, one.site, one.groups) for one in found.findings] == [
        ("path_not_forwarded", "client", ("media",)),
        ("path_not_forwarded", "federation", ("federation", "key")),
    ]
    # The log shows a query of another path.
    assert [one.name for one in found.unknown] == ([] if mode == "log" else ["query_changed"])


def test_answers_have_short_headers() -> None:
    # By default, nginx does not accept more than 4 KiB.
    for _place, request in found_with(intact)[1].sent:
        assert all(len(value) < 1000 for _name, value in synapse(request.target).headers)


@pytest.mark.parametrize("mode", MODES)
def test_long_urls(mode: str) -> None:
    found, _world = found_with(lambda target: Page(414) if len(target) > 2000 else target, mode)
    assert summary(found) == {"long_url_refused": ("error", ("client", "federation"))}
    assert "answers 414" in found.findings[0].what
    assert len(found.findings[0].evidence["request"]) < 300


@pytest.mark.parametrize("mode", MODES)
def test_queries(mode: str) -> None:
    found, _world = found_with(lambda target: target.partition("?")[0], mode)
    assert summary(found) == {"query_cut": ("error", ("client", "media", "federation"))}
    found, _world = found_with(lambda target: target.replace("%2F%21", "/!") if "?" in target else target, mode)
    severity, groups = summary(found)["query_changed"]
    assert (severity, groups) == (("error", ("client", "federation")) if mode == "log" else ("warning", ("client",)))


def test_the_token_that_the_log_hides_is_no_change() -> None:
    found, world = found_with(intact, "log")
    assert found == Found()
    assert any("access_token=x" in request.target for _place, request in world.sent)


def test_slashes() -> None:
    found, _world = found_with(lambda target: re.sub(r"/(?=\?|$)", "", target, count=1))
    assert summary(found) == {"path_slash_removed": ("warning", ("client", "federation"))}
    found, _world = found_with(lambda target: re.sub("//", "/", target))
    assert summary(found) == {"path_merged": ("warning", ("client", "media", "federation"))}
    # A proxy may refuse what is never needed.
    found, _world = found_with(refusing("//|/$", 404))
    assert found == Found()
    found, _world = found_with(lambda target: target if "?" in target else f"{target}/", "log")
    assert summary(found) == {"path_slash_added": ("error", ("client", "federation", "key"))}
    found, _world = found_with(lambda target: target if "?" in target else f"{target}/")
    assert summary(found) == {"path_rewritten": ("error", ("client", "federation", "key"))}


def test_harmless_changes_are_only_information() -> None:
    found, _world = found_with(lambda target: target.replace("%7E", "~"))
    assert summary(found) == {"query_changed": ("info", ("client",)), "path_decoded": ("info", ("media",))}


def test_the_case_of_hexadecimal_digits() -> None:
    found, _world = found_with(lambda target: re.sub("%..", lambda match: match[0].lower(), target), "log")
    severity, groups = summary(found)["path_rewritten"]
    assert (severity, groups) == ("error", ("client", "media", "federation", "key"))
    assert "so that signatures of other servers fail" in found.findings[0].what


@pytest.mark.parametrize(
    "page", [error(429, "M_LIMIT_EXCEEDED"), Page(429), Page(502), Page(503), error(500, "M_UNKNOWN"), None]
)
@pytest.mark.parametrize("mode", MODES)
def test_overload_proves_nothing(page: Page | None, mode: str) -> None:
    found, world = found_with(lambda target: page, mode)
    assert found.findings == ()
    is_hopeless = page in (Page(502), Page(503))
    names = {one.name for one in found.unknown}
    assert names == {"path_decoded", "path_merged", "query_changed"}
    assert all(
        ("limit_req" in one.fix) if page in (Page(429), Page(503)) else one.fix == "Run the task again."
        for one in found.unknown
    )
    # More requests would only add to it.
    assert len(world.sent) == (7 if is_hopeless else 13)


@pytest.mark.parametrize("at", range(20))
def test_a_single_error_in_between_proves_nothing(at: int) -> None:
    world: list[str] = []

    def proxy(target: str) -> str | Page:
        world.append(target)
        return Page(503) if len(world) == at else target

    found, _world = found_with(proxy, "direct")
    assert found.findings == ()
    assert len(found.unknown) == (1 if 1 <= at <= 13 else 0)
    assert len(world) == (15 if 1 <= at <= 13 else 13)


@pytest.mark.parametrize("page", [error(403, "M_FORBIDDEN"), error(404, "M_UNRECOGNIZED"), Page(404), Page(403)])
@pytest.mark.parametrize("path", ["/_matrix/media", "/_matrix/client/v3/directory", f"{FED}/v1", "/_matrix/key"])
def test_what_synapse_itself_answers_too_is_not_of_the_proxy(page: Page, path: str) -> None:
    world = World(intact, lambda target: page if target.startswith(path) else synapse(target))
    found = judge_paths(ask_paths(subject_of(world, direct=True)), NoLog())
    assert found.findings == ()


def test_a_proxy_that_forwards_nothing_of_static() -> None:
    found, _world = found_with(lambda target: Page(404) if "/static" in target else target)
    assert found.findings == ()
    assert [one.name for one in found.unknown] == ["query_changed"]


def test_what_no_answer_shows() -> None:
    world = World(intact)
    asked = ask_paths(subject_of(world))
    found = judge_paths(asked, NoLog())
    assert [one.name for one in found.unknown] == ["signature_broken"]
    assert judge_paths(asked._replace(is_signed=True), NoLog()) == Found()
    assert judge_paths(asked, world) == Found()


def test_a_group_without_a_site_is_left_out() -> None:
    world = World(intact)
    subject = subject_of(world, two_sites=True)
    asked = ask_paths(subject._replace(sites=subject.sites[:1]))
    assert {row.probe.group for row in asked.rows} == {"client", "media"}
    assert ask_paths(subject._replace(sites=())).rows == ()
    assert ALL[2] == "well_known"


def test_a_redirect_to_the_merged_path() -> None:
    def proxy(target: str) -> str | Page:
        path = target.partition("?")[0]
        merged = path.replace("//", "/")
        return target if path == merged else Page(301, b"", (("Location", merged),))

    found, _world = found_with(proxy)
    severity, groups = summary(found)["path_merged"]
    assert (severity, groups[0]) == ("warning", "client")
    assert "arrived" not in found.findings[0].evidence
