# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The metrics of a running process of Synapse: read from the first of its listeners that serves them.

Relies on the listeners of Synapse 1.163 (see metrics_listeners.py).
"""

from __future__ import annotations

import os
import socket
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.certificate import first_certificate
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.container import has_other_namespace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import owner_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_connection import fetch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_listeners import (
    NoMetrics,
    metrics_urls,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_text import Sample, parse
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    AS_ROOT,
    MAIN_APP,
    Process,
    ProcessReader,
    Unknown,
)

__all__ = ["Answer", "Metrics", "NoMetrics", "Sample", "fetch_from", "metrics_urls", "parse", "read_metrics"]


class Answer(t.NamedTuple):
    """The metrics that were read. `is_certain`: it was proven that this process serves them.

    `certificate`: the one that the server presented, as DER, None without TLS. `shared_with`: a text that names other
    processes with a socket at the same address, "" if none are known.
    """

    text: str
    is_certain: bool
    certificate: bytes | None = None
    shared_with: str = ""


class Metrics(t.NamedTuple):
    """The metrics of a process. `doubt`: why it is uncertain that the process itself serves them at `url`, or None."""

    url: str
    samples: list[Sample]
    doubt: Unknown | None = None


def read_metrics(settings: Settings, process: Process, timeout: float, proc: str = "/proc") -> Metrics | NoMetrics:
    """Return the metrics at the first URL where `process`, with the configuration `settings`, serves them.

    `timeout` in seconds, for each response as a whole. Raises FileNotFoundError or ProcessLookupError if the process
    has ended.
    """
    worker = process.app != MAIN_APP
    urls = metrics_urls(settings, worker=worker, working_directory=lambda: _working_directory(process, proc))
    if isinstance(urls, NoMetrics):
        return urls
    key = "worker_listeners" if worker else "listeners"
    failures: dict[str, str] = {}
    for url in urls:
        try:
            unreachable = _unreachable(url, process.pid, key, proc)
            if unreachable:
                failures[unreachable.reason] = unreachable.fix
                continue
            answer = fetch_from(url, process.pid, timeout, proc)
            refused = _refusal(answer, url, settings, process, proc)
            if refused is None:
                return Metrics(url, parse(answer.text), _doubt(answer, url, process.pid))
            failures[refused.reason] = refused.fix
        except SynapseError as error:
            failures[error.message] = _fix(error, key)
    return NoMetrics(" ".join(failures), " ".join(dict.fromkeys(failures.values())))


def fetch_from(url: str, pid: int, timeout: float, proc: str = "/proc") -> Answer:
    """Return the metrics that the process `pid` itself serves at `url`. `timeout` in seconds.

    Raises UnexpectedAnswer if another process serves them or the response is an error, ConnectionFailed if there is no
    response, and FileNotFoundError or ProcessLookupError if the process has ended.
    """
    before = owner_of(url, pid, proc)
    if before.is_own is False and before.inodes:
        raise UnexpectedAnswer(f"{url} is served by a different process{before.other and f', {before.other}'}.")
    response = fetch(url, pid, timeout, proc)
    if response.is_certain:
        return Answer(response.text, True)
    # In the meantime, another process may have opened the socket.
    after = owner_of(url, pid, proc)
    if after[:2] != before[:2]:
        raise UnexpectedAnswer(f"A different process began to serve {url} during the request. Run the task again.")
    if after.is_own is False:
        raise UnexpectedAnswer(f"{url} is served by a different process, which this user is not allowed to see.")
    return Answer(response.text, after.is_own is True, response.certificate, after.other)


def _working_directory(process: Process, proc: str) -> str | None:
    try:
        return os.readlink(os.path.join(proc, str(process.pid), "cwd"))
    except PermissionError:
        return None


def _unreachable(url: str, pid: int, key: str, proc: str) -> NoMetrics | None:
    """Return why this process cannot connect to an address of the process, or another process would answer there."""
    if place_of(url).unix_path or not has_other_namespace(pid, "net", proc):
        return None
    reason = f"Process {pid} has a network of its own (such as PrivateNetwork= in its unit), so {url} is not reachable."
    fix = "Add a listener {type: http, path: /run/matrix-synapse/metrics.sock, resources: [{names: [metrics]}]} to"
    return NoMetrics(reason, f"{fix} {key}, and restart Synapse.")


def _fix(error: SynapseError, key: str) -> str:
    # Before Python 3.10, the timeout of a socket is not a TimeoutError.
    if isinstance(error.__cause__, (TimeoutError, socket.timeout)):
        return (
            "Increase metrics_timeout, and check that the process is not stopped or overloaded. A listener of type"
            f" metrics in {key} answers even if Synapse is busy."
        )
    if isinstance(error, UnexpectedAnswer):
        return (
            f"Restart Synapse, so that it opens the listener for metrics in {key}, and check that no other program"
            " answers at its address."
        )
    return f"Restart Synapse, so that it opens the listener for metrics in {key}, and check that its address is free."


def _refusal(answer: Answer, url: str, settings: Settings, process: Process, proc: str) -> NoMetrics | None:
    """Return why an answer over TLS is not used. If its process is not proven, it must have Synapse's certificate."""
    if answer.is_certain or answer.certificate is None:
        return None
    configured = settings.get("tls_certificate_path")
    if not isinstance(configured, str) or not configured:
        reason = f"It is uncertain which process serves {url}, and tls_certificate_path is not set."
        return NoMetrics(reason, f"{AS_ROOT} Set tls_certificate_path.")
    try:
        if not os.path.isabs(configured):
            directory = ProcessReader(process.pid, proc).directory_at_start(process.daemonized)
            configured = os.path.join(directory, configured)
        expected = first_certificate(configured)
    except PermissionError:
        reason = f"This user is not allowed to see whether process {process.pid} itself serves {url}, nor to read"
        return NoMetrics(f"{reason} tls_certificate_path {configured}.", AS_ROOT)
    except ConfigurationError as error:
        return NoMetrics(
            f"It is uncertain which process serves {url}: {error.message}", "Correct tls_certificate_path."
        )
    if answer.certificate == expected:
        return None
    reason = f"It is uncertain which process serves {url}, and its certificate is not the first one in"
    reason += f" tls_certificate_path {configured}."
    return NoMetrics(reason, f"{AS_ROOT} If the certificate was renewed, reload Synapse, so that it uses the new one.")


def _doubt(answer: Answer, url: str, pid: int) -> Unknown | None:
    if answer.is_certain:
        return None
    if answer.shared_with:
        reason = (
            f"The address of {url} is shared by process {pid} and {answer.shared_with}, so the metrics may be those"
        )
        return Unknown("metrics_url", f"{reason} of another process.", "Give each process an address of its own.")
    doubt = f"This user is not allowed to see whether process {pid} itself serves {url}, so the answer was"
    return Unknown("metrics_url", f"{doubt} used without this check.", AS_ROOT)
