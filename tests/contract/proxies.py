# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real reverse proxies: nginx, Apache, Caddy and HAProxy, each started with a configuration of the test."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

KINDS = ("nginx", "apache", "caddy", "haproxy")

# How each is started in the foreground, so that it ends with its process. {file}: its configuration.
_COMMANDS = {
    "nginx": ("nginx", "-p", "{directory}", "-e", "{directory}/error.log", "-c", "{file}"),
    "apache": ("apache2", "-D", "FOREGROUND", "-d", "{directory}", "-f", "{file}"),
    "caddy": ("caddy", "run", "--adapter", "caddyfile", "--config", "{file}"),
    "haproxy": ("haproxy", "-db", "-f", "{file}"),
}
_PATIENCE = 5.0


def program(name: str) -> str:
    """Return the path of a server program: nginx, apache2, caddy, haproxy or dnsmasq."""
    return str(json.loads(os.environ["CONTRACT_PROXIES"])[name])


def apache_modules() -> Path:
    """Return the directory of Apache's modules, which lies beside its program wherever Debian's package is unpacked."""
    return Path(program("apache2")).resolve().parents[1] / "lib" / "apache2" / "modules"


class Proxy:
    """A running reverse proxy. `ports`: those on which it listens with every configuration."""

    def __init__(self, kind: str, directory: Path, ports: t.Sequence[int]) -> None:
        self.kind = kind
        self.text = ""
        self._directory = directory
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    def reload(self, text: str) -> None:
        """Restart it with another configuration, if it is another one, and wait until it listens.

        It is a restart, because after a reload the old processes would go on to answer on connections that they have.
        Raises AssertionError with its words if it does not accept the configuration.
        """
        if text == self.text and self._process is not None and self._process.poll() is None:
            return
        self.stop()
        file = self._directory / "configuration"
        file.write_text(text)
        name, *arguments = (word.format(directory=self._directory, file=file) for word in _COMMANDS[self.kind])
        # Caddy keeps what it has decided in directories of the user.
        own = {"HOME": str(self._directory), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
        with (self._directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [program(name), *arguments],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **own},
            )
        for port in self._ports:
            until(functools.partial(self._listens, port), bool)
        self.text = text

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def words(self) -> str:
        """Return what it has written about itself."""
        written = [self._directory / name for name in ("output", "error.log")]
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in written if path.exists())

    def _listens(self, port: int) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.kind} has ended: {self.words()}"
        try:
            socket.create_connection(("127.0.0.1", port), _PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True


@contextlib.contextmanager
def running(kind: str, text: str, directory: Path, ports: t.Sequence[int]) -> t.Iterator[Proxy]:
    """Run a proxy with a configuration below `directory`, which listens on `ports`, and stop it afterwards."""
    directory.mkdir(parents=True, exist_ok=True)
    proxy = Proxy(kind, directory, ports)
    try:
        proxy.reload(text)
        yield proxy
    finally:
        proxy.stop()
