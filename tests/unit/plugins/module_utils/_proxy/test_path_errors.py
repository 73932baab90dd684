# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import (
    FED,
    MODES,
    found_with,
    summary,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    Page,
    intact,
    nginx,
    synapse,
)


def replacing(statuses: set[int], page: Page | None = None, prefix: str = "/") -> t.Callable[[str], Page]:
    """Return a Synapse behind a proxy that replaces its errors with some statuses by pages."""

    def server(target: str) -> Page:
        answer = synapse(target)
        if answer.status not in statuses or not target.startswith(prefix):
            return answer
        return (page or Page(0))._replace(status=answer.status)

    return server


OWN_PAGES = [
    Page(0),
    Page(0, b"", ()),
    Page(0, b"not found", (("Content-Type", "text/plain"),)),
    Page(0, b'{"error": "Not found"}', (("Content-Type", "application/json"),)),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page", OWN_PAGES)
@pytest.mark.parametrize("statuses", [{404}, {401, 404}, {400, 401, 403, 404, 405}])
def test_errors_are_replaced(mode: str, page: Page, statuses: set[int]) -> None:
    found, world = found_with(intact, mode, server=replacing(statuses, page))
    assert summary(found) == {"errors_replaced": ("error", ("client", "media", "federation"))}
    (finding,) = found.findings
    status = {1: "404", 2: "401 and 404"}.get(len(statuses), "400, 401, 404 and 405")
    assert f"with the status {status} in answers of the groups client, media and federation by pages" in finding.what
    assert finding.evidence["expected"].startswith(finding.evidence["answer"][:3])
    # What the answers cannot show any more is unknown, unless the log shows it.
    names = {one.name for one in found.unknown}
    assert names == (set() if mode == "log" else {"path_decoded", "query_changed"} & names)
    assert mode == "log" or "path_decoded" in names


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("group", ["client", "media", "federation"])
def test_errors_of_one_group_are_replaced(mode: str, group: str) -> None:
    found, _world = found_with(intact, mode, server=replacing({401, 404, 405}, prefix=f"/_matrix/{group}/"))
    assert summary(found) == {"errors_replaced": ("error", (group,))}


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_replaced_on_two_sites(mode: str) -> None:
    found, _world = found_with(intact, mode, two_sites=True, server=replacing({401, 404, 405}))
    assert [(one.name, one.site) for one in found.findings] == [
        ("errors_replaced", "client"),
        ("errors_replaced", "federation"),
    ]


def test_errors_are_replaced_and_paths_decoded() -> None:
    found, _world = found_with(nginx, "log", server=replacing({404}))
    assert set(summary(found)) == {"errors_replaced", "path_decoded"}
    # Without the log, no answer shows that it is not the proxy's own refusal of a character.
    assert not set(summary(found_with(nginx, server=replacing({404}))[0])) & {"path_refused", "path_not_forwarded"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [200, 403, 404])
def test_all_errors_get_the_same_status(mode: str, status: int) -> None:
    def server(target: str) -> Page:
        page = synapse(target)
        return Page(status) if page.status >= 400 else page

    found, _world = found_with(intact, mode, server=server)
    # The answers alone are those of a proxy that forwards only a few paths.
    is_shown = mode != "alone"
    assert set(summary(found)) == ({"errors_replaced"} if is_shown else set())
    assert is_shown or {"path_refused", "path_not_forwarded"} <= {one.name for one in found.unknown}
    if is_shown:
        assert "with the status 400, 401, 404 and 405 in" in found.findings[0].what


@pytest.mark.parametrize("mode", MODES)
def test_only_what_is_not_found_becomes_a_page(mode: str) -> None:
    def server(target: str) -> Page:
        page = synapse(target)
        return Page(200) if page.status == 404 else page

    found, _world = found_with(intact, mode, server=server)
    assert set(summary(found)) == (set() if mode == "alone" else {"errors_replaced"})
    if mode != "alone":
        assert "with the status 404 in" in found.findings[0].what


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("statuses", [{401}, {400, 401, 403, 404, 405}])
def test_errors_become_a_redirect_to_a_login(mode: str, statuses: set[int]) -> None:
    def server(target: str) -> Page:
        page = synapse(target)
        login = (("Location", "https://login.example.org/"),)
        return Page(302, b"", login) if page.status in statuses else page

    found, _world = found_with(intact, mode, server=server)
    if mode == "alone":
        # It can also be a proxy that wants a login for some paths.
        assert "path_refused" not in summary(found)
        assert "path_refused" in {one.name for one in found.unknown}
        return
    assert set(summary(found)) == {"errors_replaced"}
    assert "federation" in found.findings[0].groups
    assert "401" in found.findings[0].what


@pytest.mark.parametrize("path", ["/_matrix/media", "/_matrix/client/v3", f"{FED}/v1/event", f"{FED}/v2"])
@pytest.mark.parametrize("status", [401, 403, 404, 405])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_forwarded_is_not_replaced(path: str, status: int, mode: str) -> None:
    found, _world = found_with(lambda target: Page(status) if target.startswith(path) else target, mode)
    assert "errors_replaced" not in summary(found)
    if path == "/_matrix/media":
        assert summary(found) == {"path_not_forwarded": ("error", ("media",))}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", [FED, f"{FED}/v1"])
def test_a_password_is_no_replaced_error(mode: str, path: str) -> None:
    page = Page(401, headers=(("WWW-Authenticate", "Basic"),))
    found, _world = found_with(lambda target: page if target.startswith(path) else target, mode)
    assert summary(found) == {"path_not_forwarded": ("error", ("federation",))}
