# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The metrics of a running process: the URLs where it serves them, and their content.

Relies on the listeners of Synapse 1.163 (synapse/config/server.py: type `metrics`, or `http` with the resource
`metrics`) and on the text format of Prometheus, version 0.0.4.
"""

from __future__ import annotations

import http.client
import re
import typing as t
import urllib.error
import urllib.request

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import owner_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, Process, Unknown

_PATH = "/_synapse/metrics"
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_SAMPLE = re.compile(rf"({_NAME})\s*(\{{)?")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


class Sample(t.NamedTuple):
    """One line of the metrics."""

    name: str
    labels: dict[str, str]
    value: float


class Answer(t.NamedTuple):
    """The metrics that were read. `is_certain`: it was proven that this process serves them."""

    text: str
    is_certain: bool


class Metrics(t.NamedTuple):
    """The metrics of a process. `doubt`: why it is uncertain that the process itself serves them at `url`, or None."""

    url: str
    samples: list[Sample]
    doubt: Unknown | None = None


class NoMetrics(t.NamedTuple):
    """The reason why a process serves no metrics that can be read, and the fix."""

    reason: str
    fix: str


def read_metrics(settings: Settings, process: Process, timeout: float, proc: str = "/proc") -> Metrics | NoMetrics:
    """Return the metrics at the first URL where `process`, with the configuration `settings`, serves them.

    `timeout` in seconds, for each response. Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    urls = metrics_urls(settings, worker=process.app != MAIN_APP)
    if isinstance(urls, NoMetrics):
        return urls
    reason = ""
    for url in urls:
        try:
            answer = fetch_from(url, process.pid, timeout, proc)
            samples = parse(answer.text)
        except SynapseError as error:
            reason = error.message
            continue
        doubt = f"This user is not allowed to see whether process {process.pid} itself serves {url}, so the answer was"
        doubt += " used without this check."
        fix = "Run the task with become, as root."
        return Metrics(url, samples, None if answer.is_certain else Unknown("metrics_url", doubt, fix))
    return NoMetrics(
        reason, "Restart Synapse, so that it opens the configured listener, and check that its port is free."
    )


def metrics_urls(settings: Settings, *, worker: bool) -> list[str] | NoMetrics:
    """Return the URLs where a process with the configuration `settings` serves its metrics, the best first.

    A worker has the listeners of `worker_listeners`. An address that stands for all addresses becomes loopback.
    """
    key = "worker_listeners" if worker else "listeners"
    example = f"a listener {{type: metrics, port: 9000, bind_addresses: [127.0.0.1]}} to {key}, and restart Synapse."
    listeners = [listener for listener in _mappings(settings.get(key)) if _serves_metrics(listener)]
    if not worker and settings.get("metrics_port"):
        address = settings.get("metrics_bind_host", "127.0.0.1")
        listeners.append({"type": "http", "port": settings["metrics_port"], "bind_addresses": [address]})
    if not listeners:
        return NoMetrics("The configuration has no listener for metrics.", f"Set enable_metrics to true, add {example}")
    if not settings.get("enable_metrics"):
        return NoMetrics(
            "enable_metrics is not true, so Synapse ignores the listener for metrics.",
            "Set enable_metrics to true and restart Synapse.",
        )
    plain = [listener for listener in listeners if listener.get("port") and not listener.get("tls")]
    if not plain:
        return NoMetrics(
            "The metrics are only served over TLS or on a Unix socket, and this module cannot read them there.",
            f"Add {example}",
        )
    # The listener of type `metrics` has its own thread, and answers while Synapse is busy.
    plain.sort(key=lambda listener: listener["type"] != "metrics")
    return [
        f"http://{_host(address)}:{listener['port']}{_PATH}" for listener in plain for address in _addresses(listener)
    ]


def fetch_from(url: str, pid: int, timeout: float, proc: str = "/proc") -> Answer:
    """Return the metrics that the process `pid` itself serves at `url`. `timeout` in seconds.

    Raises UnexpectedAnswer if another process serves them or the response is an error, ConnectionFailed if there is no
    response, and FileNotFoundError or ProcessLookupError if the process has ended.
    """
    before = owner_of(url, pid, proc)
    if before.is_own is False and before.inodes:
        raise UnexpectedAnswer(f"{url} is served by a different process{before.other and f', {before.other}'}.")
    text = fetch(url, timeout)
    # In the meantime, another process may have opened the socket.
    after = owner_of(url, pid, proc)
    if after != before:
        raise UnexpectedAnswer(f"A different process began to serve {url} during the request. Run the task again.")
    if after.is_own is False:
        raise UnexpectedAnswer(f"{url} is served by a different process, which this user is not allowed to see.")
    return Answer(text, after.is_own is True)


def fetch(url: str, timeout: float) -> str:
    """Return the metrics that `url` serves. Raises ConnectionFailed or UnexpectedAnswer. `timeout` in seconds."""
    # The URL leads to this host, so no proxy is used.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Accept": "text/plain; version=0.0.4"})
    try:
        with opener.open(request, timeout=timeout) as answer:
            return str(answer.read().decode("utf-8", errors="replace"))
    except urllib.error.HTTPError as error:
        raise UnexpectedAnswer(f"GET {url} failed: status {error.code}.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionFailed(f"GET {url} failed: {getattr(reason, 'strerror', None) or reason}.") from error


def parse(text: str) -> list[Sample]:
    """Return the samples in `text`. Raises UnexpectedAnswer if it is not in the format of Prometheus."""
    return [_parse_line(line) for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _parse_line(line: str) -> Sample:
    match = _SAMPLE.match(line.strip())
    if match is None:
        raise _malformed(line)
    name, has_labels = match.groups()
    rest = line.strip()[match.end() :]
    labels: dict[str, str] = {}
    if has_labels:
        position = 0
        while not rest[position:].lstrip().startswith("}"):
            label = _LABEL.match(rest, position)
            if label is None:
                raise _malformed(line)
            labels[label[1]] = re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), label[2])
            position = label.end()
        rest = rest[position:].lstrip()[1:]
    fields = rest.split()
    try:
        # A timestamp can follow the value.
        return Sample(name, labels, float(fields[0]))
    except (IndexError, ValueError):
        raise _malformed(line) from None


def _malformed(line: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"The response is not in the text format of Prometheus: {line[:100]!r}.")


def _serves_metrics(listener: Settings) -> bool:
    if listener.get("type") == "metrics":
        return True
    names = [name for resource in _mappings(listener.get("resources")) for name in resource.get("names") or []]
    return listener.get("type") == "http" and "metrics" in names


def _addresses(listener: Settings) -> list[str]:
    addresses = [str(address) for address in listener.get("bind_addresses") or []]
    if listener.get("bind_address"):
        addresses.append(str(listener["bind_address"]))
    return addresses or ["0.0.0.0"]


def _host(address: str) -> str:
    address = _EVERYWHERE.get(address, address)
    return f"[{address}]" if ":" in address else address


def _mappings(value: t.Any) -> list[Settings]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
