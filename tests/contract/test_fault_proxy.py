# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy itself: each fault is what it says, hits one request only, and reaches Synapse only if it is to."""

from __future__ import annotations

import typing as t

import pytest
import requests

from ansible_collections.matrix_ops.synapse.tests.contract.fault_proxy import FAULTS, FaultProxy
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PATH = "/_matrix/client/versions"
_SEEN = {
    "refused": "ConnectionError",
    "timeout_not_done": "ReadTimeout",
    "timeout_done": "ReadTimeout",
    "delay_done": "ReadTimeout",
    "status_429": 429,
    "status_500": 500,
    "status_500_done": 500,
    "html_502": 502,
    "html_502_done": 502,
    "cut_before_answer": "ConnectionError",
    "cut_in_answer": "ChunkedEncodingError",
    "json_cut": 200,
}


def _see(url: str) -> tuple[t.Any, bool]:
    """Return the status or the exception of a request, and whether there is JSON."""
    try:
        answer = requests.get(url, timeout=1)
    except requests.RequestException as error:
        return type(error).__name__, False
    try:
        return answer.status_code, isinstance(answer.json(), dict)
    except ValueError:
        return answer.status_code, False


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_hits_one_request(server: Server, fault: str) -> None:
    with FaultProxy(server.base_url) as proxy:
        proxy.arm(fault, 2)
        seen = [_see(proxy.base_url + _PATH) for _request in range(3)]
        requests_seen = proxy.settle()
    assert proxy.suffered
    assert (seen[0], seen[2]) == ((200, True), (200, True))
    assert seen[1] == (_SEEN[fault], fault in ("status_429", "status_500", "status_500_done"))
    # A connection that was refused carries no request.
    faulty = [] if fault == "refused" else [200 if FAULTS[fault] else None]
    assert [request.status for request in requests_seen] == [200, *faulty, 200]


def test_a_refused_connection_is_refused_by_the_kernel(server: Server) -> None:
    with FaultProxy(server.base_url) as proxy:
        proxy.arm("refused", 1)
        with pytest.raises(requests.ConnectionError, match="Connection refused"):
            requests.get(proxy.base_url + _PATH, timeout=1)
        assert _see(proxy.base_url + _PATH) == (200, True)
