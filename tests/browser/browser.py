# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, driven by its DevTools protocol over a pipe: nothing but the browser itself is needed.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Over a pipe, each message ends with a zero byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import typing as t

from machine import CannotRun, install_packages

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 60.0

_OPTIONS = (
    *("--headless", "--no-first-run", "--no-default-browser-check", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions"),
    *("--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"),
    *("--remote-debugging-pipe", "--proxy-bypass-list=<-loopback>"),
)


def find_browser() -> str:
    """Return the path of a Chromium, installed if need be. Raises CannotRun if there is none to be had."""
    for _attempt in range(2):
        found = next(filter(None, map(shutil.which, _NAMES)), None)
        if found:
            return found
        install_packages(["chromium"])
    raise CannotRun("the package chromium is installed, but the program is not to be found")


def end_as_an_exception() -> None:
    """Let the request to end this process be an exception, so that the browser is ended too."""
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(143))


class Gate:
    """All that the browser wants from outside ends here: a proxy that remembers what it was asked for, and refuses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        # The socket is closed when everything is over.
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    self.asked.append(connection.recv(4096).decode("latin-1").partition("\r\n")[0])
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Browser:
    """A browser with one page. `events` are the notifications it has sent, as (method, parameters)."""

    def __init__(self, path: str, proxy: str) -> None:
        self.events: list[tuple[str, dict[str, t.Any]]] = []
        self._number = 0
        self._session: str | None = None
        self._buffer = b""
        self._profile = tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_browser_", ignore_cleanup_errors=True)
        options = [*_OPTIONS, f"--user-data-dir={self._profile.name}", f"--proxy-server={proxy}"]
        # Its own sandbox refuses to run as root.
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        self._process = subprocess.Popen(
            # It expects the pipe at the descriptors 3 and 4.
            ["sh", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', path, *options, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(to_read, to_write),
            start_new_session=True,
            # What it keeps for itself goes to the profile, and with it.
            env={**os.environ, "HOME": self._profile.name},
        )
        os.close(to_read)
        os.close(to_write)
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            target = next(found["targetId"] for found in targets if found["type"] == "page")
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.call(f"{domain}.enable")
            self.call("Page.setLifecycleEventsEnabled", enabled=True)
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **parameters: t.Any) -> dict[str, t.Any]:
        """Return what the browser answers. Raises RuntimeError if it refuses, or does not answer."""
        self._number += 1
        message: dict[str, t.Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._next(deadline, method)
            if "method" in answer:
                self._take(answer)
            elif answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return t.cast("dict[str, t.Any]", answer["result"])

    def evaluate(self, script: str) -> t.Any:
        """Return the value of an expression in the page; a promise is awaited. Raises RuntimeError if it throws."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"].get("exception", {}).get("description", script)))
        return found["result"].get("value")

    def visit(self, url: str) -> None:
        """Load a page, and forget what was notified before. Raises RuntimeError if it does not load."""
        # Without it, another place of the same page would not be loaded anew.
        self._load("about:blank")
        self.events.clear()
        self._load(url)

    def look(self, width: int, scheme: str, media: str = "screen") -> None:
        """Set how wide the page is shown, "light" or "dark", and whether on a screen or on paper ("print")."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key, which has that virtual key code and types that text."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for since it was visited."""
        return [found["request"]["url"] for method, found in self.events if method == "Network.requestWillBeSent"]

    def close(self) -> None:
        """End the browser and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def _load(self, url: str) -> None:
        loader = self.call("Page.navigate", url=url)["loaderId"]
        deadline = time.monotonic() + _PATIENCE
        while not any(
            method == "Page.lifecycleEvent" and (found["loaderId"], found["name"]) == (loader, "load")
            for method, found in self.events
        ):
            answer = self._next(deadline, url)
            if "method" in answer:
                self._take(answer)

    def _take(self, message: dict[str, t.Any]) -> None:
        self.events.append((message["method"], message["params"]))
        if message["method"] == "Page.javascriptDialogOpening":
            # A script that waits for an answer would stop everything.
            answer = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self._write, json.dumps({**answer, "sessionId": self._session}).encode() + b"\0")

    def _next(self, deadline: float, awaited: str) -> dict[str, t.Any]:
        while b"\0" not in self._buffer:
            ready, _writable, _failed = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            read = os.read(self._read, 1 << 16) if ready else b""
            if not read:
                why = "has ended" if ready else f"has not answered within {_PATIENCE:.0f} s"
                raise RuntimeError(f"The browser {why}, at {awaited}.")
            self._buffer += read
        message, _end, self._buffer = self._buffer.partition(b"\0")
        return t.cast("dict[str, t.Any]", json.loads(message))
