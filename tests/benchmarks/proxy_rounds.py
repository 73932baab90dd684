# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print, as JSON, what rounds of synapse_proxy_info take: a right nginx, a wrong one, and one that is far away."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import GATHER
from ansible_collections.matrix_ops.synapse.tests.contract import proxy_cases
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import right
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configurations import WRONG

_ROUNDS = 5
# An upload waits on purpose, for an early answer and then for one second.
_WITHOUT_WAITING = [part for part in GATHER if part not in ("body_size", "long_poll")]
# In seconds, there and back.
_DISTANCE = 0.05


class Distance:
    """Passes bytes on to a port of this host, each half of the distance later. `port`: where it listens."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _address = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._to))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        """Pass everything on, each piece as much later as the way is long: the way itself can hold any number."""
        on_its_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def arrive() -> None:
            with contextlib.suppress(OSError):
                while True:
                    arrival, data = on_its_way.get()
                    time.sleep(max(0.0, arrival - time.monotonic()))
                    if not data:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(data)

        threading.Thread(target=arrive, daemon=True).start()
        data = b"-"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            on_its_way.put((time.monotonic() + _DISTANCE / 2, data))


def main() -> None:
    """Measure all of them by turns."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, proxy_cases.staged(Path(directory)) as stage:
        wiring = stage.wiring("nginx", delegated=False)
        wrong = next(row for row in WRONG if (row.kind, row.finding) == ("nginx", "path_decoded"))
        distance = Distance(wiring.https_port)
        far = {place: f"127.0.0.1:{distance.port}" for place in stage.parameters("nginx")["connect_to"]}
        for _round in range(_ROUNDS):
            for name, text, more in (
                ("right", right("nginx", wiring), {}),
                ("wrong", wrong.text(wiring), {}),
                ("far", right("nginx", wiring), {"connect_to": far, "gather": _WITHOUT_WAITING}),
            ):
                stage.run("nginx", text)
                began = time.monotonic()
                seen = stage.look("nginx", **t.cast("dict[str, t.Any]", more))
                found.setdefault(name, []).append(time.monotonic() - began)
                found.setdefault(f"{name}_requests", []).append(seen["requests"])
        found["far_one_by_one"] = [requests * _DISTANCE for requests in found["far_requests"]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
