# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import is_long_poll
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.activity import read_activity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.long_polls import LONG_POLLS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample


@pytest.mark.parametrize(("servlet", "path"), LONG_POLLS.items())
def test_metrics_and_logs_agree(servlet: str, path: str) -> None:
    sample = Sample("synapse_http_server_in_flight_requests_count", {"method": "GET", "servlet": servlet}, 1.0)
    requests = read_activity([sample])["requests"]
    assert (requests["in_flight"], requests["long_polls"]) == (0, 1)
    assert is_long_poll(f"/_matrix/client/v3/{path}")


@pytest.mark.parametrize("servlet", LONG_POLLS)
def test_they_do_not_count_as_waiting_for_the_database(servlet: str) -> None:
    names = ("count", "db_sched_duration_seconds_total", "db_txn_duration_seconds_total")
    labels = {"method": "GET", "servlet": servlet}
    requests = read_activity([Sample(f"synapse_http_server_in_flight_requests_{name}", labels, 5.0) for name in names])
    assert requests["requests"]["database_wait_seconds"] == requests["requests"]["database_seconds"] == 0
