# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    CHANGED,
    FOREIGN,
    INTACT,
    UNSURE,
    Outcome,
    Probe,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import baseline_of, probes_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    HTML,
    NAME,
    PUBLIC,
    Page,
    error,
)


def probe_with(text: str, group: str = "client") -> Probe:
    return next(probe for probe in probes_of(group, NAME) if text in probe.target)


def read(probe: Probe, page: Page) -> Outcome:
    return probe.read(
        Answer(PUBLIC, probe.request, "0", page.status, page.headers, page.body, 0.1, "HTTP/1.1", "a", "b")
    )


@pytest.mark.parametrize(
    ("alias", "kind", "text"),
    [
        (f"#n/%3A!@$:{NAME}", "same", ""),
        (f"#n/:!@$:{NAME}", "decoded", "%253A became %3A"),
        (f"#n%2F%3A!@$:{NAME}", "encoded_twice", "%2F became %252F"),
        (f"#n/%253A!@$:{NAME}", "encoded_twice", "%25 became %2525"),
        (f"#n%2F%3A%21@$:{NAME}", "encoded_twice", "%2F became %252F, %21 became %2521"),
    ],
)
def test_the_alias_that_synapse_did_not_find(alias: str, kind: str, text: str) -> None:
    outcome = read(probe_with("directory"), error(404, "M_NOT_FOUND", f"Room alias {alias} not found"))
    assert (outcome.change.kind, outcome.change.text) == (kind, text)
    assert outcome.state == (INTACT if kind == "same" else CHANGED)


def test_other_answers_to_the_alias() -> None:
    probe = probe_with("directory")
    assert read(probe, error(404, "M_UNRECOGNIZED")).change.text == "%2F became /"
    assert read(probe, error(400, "M_INVALID_PARAM", "Room alias invalid")).change.text == "%23 became %2523"
    assert read(probe, error(404, "M_NOT_FOUND", "Room alias #other:example.org not found")).state == UNSURE
    assert read(probe, error(403, "M_FORBIDDEN")) == Outcome(UNSURE, reason="the answer is 403 M_FORBIDDEN")
    assert read(probe, Page(200, b'{"room_id": "!a"}')).state == UNSURE


def test_the_path_of_media() -> None:
    probe = probe_with("%3A", "media")
    path = probe.target.partition("?")[0]
    assert read(probe, error(404, "M_NOT_FOUND", f"Not found '{path}'")) == Outcome(INTACT, arrived=path)
    outcome = read(probe, error(404, "M_NOT_FOUND", f"Not found '{path.replace('%3A', ':')}'"))
    assert (outcome.state, outcome.change.text, outcome.arrived) == (CHANGED, "%3A became :", path.replace("%3A", ":"))
    assert read(probe, error(404, "M_NOT_FOUND", "Not found")).change.kind == "query_cut"
    assert read(probe, error(404, "M_NOT_FOUND", "Media not found")).state == UNSURE


def test_the_redirect_of_a_directory() -> None:
    probe = probe_with("static")
    path, _mark, query = probe.target.partition("?")

    def location(text: str) -> Outcome:
        return read(probe, Page(302, b"", (("Location", text),)))

    assert location(f"{path}/?{query}").state == INTACT
    # Some proxies make it absolute.
    assert location(f"https://matrix.example.org{path}/?{query}").state == INTACT
    assert location(f"{path}/").change.kind == "query_cut"
    assert location(f"{path}/?{query[:5]}").change.kind == "query_cut"
    assert location(f"{path}/?{query.replace('%3A', ':')}").change.text == "in the query %3A became :"
    assert location(f"/x{path}/?{query}").change.text == "/x was added at the beginning"
    assert location("https://login.example.org/").state == FOREIGN
    # A worker of Synapse does not have it.
    assert read(probe, error(404, "M_UNRECOGNIZED")).state == FOREIGN


@pytest.mark.parametrize(
    ("group", "target", "page", "kind"),
    [
        ("client", "//versions", error(404, "M_UNRECOGNIZED"), "same"),
        ("client", "//versions", Page(200, b'{"versions": []}', ()), "merged"),
        ("client", "versions/", Page(200, b'{"versions": []}', ()), "slash_removed"),
        ("federation", "version/", Page(200, b'{"server": {}}', ()), "slash_removed"),
        ("federation", "//v1", Page(200, b'{"server": {}}', ()), "merged"),
        ("federation", "event", error(401, "M_UNAUTHORIZED"), "same"),
        ("federation", "event", error(404, "M_UNRECOGNIZED"), "decoded"),
        ("federation", "make_join", error(404, "M_UNRECOGNIZED"), "decoded"),
        ("federation", "v2/send_join", error(405, "M_UNRECOGNIZED"), "same"),
        ("federation", "v2/send_join", error(404, "M_UNRECOGNIZED"), "decoded"),
        ("federation", "openid", error(401, "M_UNKNOWN_TOKEN"), "same"),
        ("federation", "openid", error(401, "M_MISSING_TOKEN"), "query_cut"),
        ("key", "server", Page(200, b'{"server_name": "example.org"}', ()), "same"),
        ("key", "server", error(404, "M_UNRECOGNIZED"), "decoded"),
        ("client", "directory", Page(404, b"<title>404 - No Such Resource</title>"), "rewritten"),
        ("client", "//versions", Page(301, b"", (("Location", "https://x/_matrix/client/versions"),)), "merged"),
        ("client", "versions/", Page(308, b"", (("Location", "/_matrix/client/versions"),)), "slash_removed"),
    ],
)
def test_what_answers_show(group: str, target: str, page: Page, kind: str) -> None:
    outcome = read(probe_with(target, group), page)
    assert outcome.change.kind == kind
    assert outcome.state == (INTACT if kind == "same" else CHANGED)


@pytest.mark.parametrize("group", ["client", "media", "federation", "key"])
def test_answers_that_show_nothing(group: str) -> None:
    for probe in (*probes_of(group, NAME), baseline_of(group)):
        for status in (429, 500, 502, 503, 504):
            # Also if it looks like an answer of Synapse.
            page = error(status, "M_UNRECOGNIZED")
            assert read(probe, page).state == UNSURE
            assert str(status) in read(probe, page).reason
        for page in (
            Page(200),
            Page(403),
            Page(404),
            Page(302, b"", (("Location", "https://login.example.org/"), *HTML)),
        ):
            assert read(probe, page).state == FOREIGN
        missing = NoAnswer(PUBLIC, probe.request, "0", "timeout", "it did not answer")
        assert probe.read(missing) == Outcome(UNSURE, reason="it did not answer")


def test_a_request_without_anything_to_change() -> None:
    for group in ("client", "media", "federation", "key"):
        assert "%" not in baseline_of(group).target
        assert read(baseline_of(group), error(404, "M_UNRECOGNIZED")).change.kind == "rewritten"
    assert read(baseline_of("key"), Page(200, b'{"server_name": "x"}', ())).state == INTACT
    assert read(baseline_of("key"), Page(200, b"[]", ())).state == FOREIGN


def test_a_location_that_is_not_valid() -> None:
    page = Page(302, b"", (("Location", "http://[x/"),))
    assert read(probe_with("directory"), page).state == FOREIGN
