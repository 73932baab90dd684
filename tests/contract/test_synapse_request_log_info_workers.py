# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_request_log_info finds in the logs of a main process and two workers, which all count from zero."""

from __future__ import annotations

import contextlib
import re
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers, workers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_MODULE = "synapse_request_log_info"
_ANSWERED = re.compile(r"^synapse_http_server_response_count_total\{([^\n]*)\} (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[Place, list[workers.Worker]]]:
    """A server with two workers."""
    with contextlib.ExitStack() as running:
        [server] = running.enter_context(servers.own_servers("postgresql"))
        started = running.enter_context(workers.with_workers(server, 2))
        yield Place(server, "divided", tmp_path_factory.mktemp("divided")), started


def _ask(base_url: str, path: str, server: Server) -> None:
    request = urllib.request.Request(f"{base_url}{path}", headers={"Authorization": f"Bearer {server.user_token}"})
    try:
        urllib.request.urlopen(request, timeout=60).read()
    except urllib.error.HTTPError as error:
        error.read()


def _answered(metrics_url: str) -> int:
    """Return how many requests a process has answered; it logs the checks of its health only at DEBUG."""
    with urllib.request.urlopen(metrics_url, timeout=60) as answer:
        found = _ANSWERED.findall(answer.read().decode())
    return int(sum(float(count) for labels, count in found if "HealthResource" not in labels))


def _look(place: Place, **parameters: t.Any) -> Result:
    given = {"base_url": None, "config_path": place.server.config_path, **parameters}
    seen = play(place, _MODULE, given, token=False)
    assert not seen.get("failed"), seen
    return seen


def test_all_processes_are_read_and_told_apart(divided: tuple[Place, list[workers.Worker]]) -> None:
    place, started = divided
    server = place.server
    everywhere = [server.base_url, *(worker.base_url for worker in started)]
    for number, base_url in enumerate(everywhere, 1):
        for _request in range(5 * number):
            _ask(base_url, "/_matrix/client/v3/sync?timeout=0", server)
    seen = _look(place)
    logs = [Path(server.log), *(worker.log for worker in started)]
    assert sorted(source["path"] for source in seen["sources"]) == sorted(map(str, logs))
    counts = {str(log): _look(place, path=[str(log)])["summary"]["count"] for log in logs}
    assert seen["summary"]["count"] == sum(counts.values())
    for worker in started:
        assert counts[str(worker.log)] == _answered(worker.metrics_url), worker
    tag = "GET-3"
    found = _look(place, request=tag)["requests"]
    sources = [one["process"]["source"] for one in found]
    assert {str(worker.log) for worker in started} <= set(sources)
    for one in found:
        assert one["files"] == [one["process"]["source"]]
        assert all(f" - {tag} - " in line for line in one["lines"])
    # The same lines in one file, as a container that prints the output of all its processes.
    together = place.directory / "together.log"
    lines = sorted(line for log in logs for line in log.read_text().split("\n") if line)
    together.write_text("\n".join(lines) + "\n")
    assert _look(place, path=[str(together)])["summary"]["count"] == seen["summary"]["count"]
    names = {str(log): log.stem for log in logs}
    prefixed = place.directory / "prefixed.log"
    prefixed.write_text(
        "".join(f"{names[str(log)]:12}| {line}\n" for log in logs for line in log.read_text().split("\n") if line)
    )
    again = _look(place, path=[str(prefixed)], request=tag, gather=["summary"])
    assert again["summary"]["count"] == seen["summary"]["count"]
    assert len(again["requests"]) == len(found)
