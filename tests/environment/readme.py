# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README promises, tried as a new user does: its own commands, in a checkout of Git, with an empty home."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from commands import Account, Failed, execute
from machine import CannotRun, has_pip, install_packages

# The oldest Python that the README promises to work with.
_OLDEST_PYTHON = (3, 11)
_TOOLS = ("git", "make", "python3")
_PATH = "/usr/local/bin:/usr/bin:/bin"
# Of what the user who runs the tests has set only how one downloads from here.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "cert", "default-timeout")
_PATIENCE = 30
# What installing packages leaves in a home, for the next time.
_KEPT_BY_PIP = {".cache", ".cache/pip"}


class Newcomer:
    """Somebody with a checkout of Git, an empty home and an empty directory for temporary files, and nothing else.

    The superuser's tests let an ordinary user do it: the README promises that no root is needed.
    """

    def __init__(self, collection: Path, directory: Path) -> None:
        """`collection`: what the checkout holds. `directory`: an empty one, for everything. Raises CannotRun."""
        _install_tools()
        self._account = _ordinary_account()
        self.checkout, self._home, self._temporary = (directory / name for name in ("checkout", "home", "tmp"))
        self._readme = (collection / "README.md").read_text()
        shutil.copytree(collection, self.checkout, symlinks=True)
        self._home.mkdir()
        self._temporary.mkdir()
        if self._account:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, self._account.user, self._account.group, follow_symlinks=False)
        author = "-c user.name=Newcomer -c user.email=newcomer@example.org"
        self._type(f"git init --quiet && git add --all && git {author} commit --quiet --message=Checkout")
        self._untracked_before = self._untracked()
        version = self._type("python3 -c 'import sys; print(*sys.version_info[:2])'").split()
        if tuple(map(int, version)) < _OLDEST_PYTHON:
            raise CannotRun(f"the system's Python is {'.'.join(version)}, and the README asks for a newer one")

    def run_demo(self) -> str:
        """Type the commands of the README's first example, again, and return what came of it. Raises Failed."""
        *demo, _clean = self._commands()
        first = self._play(demo)
        processes = self._processes()
        if not processes:
            raise Failed("After the demo no process of it runs.")
        again = self._play(demo)
        if " changed=0 " not in again:
            raise Failed(f"The demo changed something when it was run again: {again}")
        if self._processes() != processes:
            raise Failed(f"Of the processes {processes} the second run has left {self._processes()}.")
        return f"first {first}, again {again}"

    def remove_demo(self) -> None:
        """Type the last of these commands, and look for anything that is left. Raises Failed."""
        ports = json.loads((self.checkout / ".demo/.matrix_ops-quickstart.json").read_text())
        self._type(self._commands()[-1])
        left = [f"process {number}" for number in self._processes()]
        left += [f"port {port}" for port in ports.values() if _listens(port)]
        left += sorted(self._untracked() - self._untracked_before)
        left += [str(path) for path in self._temporary.iterdir()]
        in_home = {str(path.relative_to(self._home)) for path in self._home.rglob("*")}
        left += sorted(path for path in in_home - _KEPT_BY_PIP if not path.startswith(".cache/pip/"))
        if left:
            raise Failed("\n".join(["The demo was removed, but there is still:", *left]))

    def leave(self) -> None:
        """End what a run that failed, or was stopped, has left."""
        deadline = time.monotonic() + _PATIENCE
        while (left := self._processes()) and time.monotonic() < deadline:
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.1)

    def _commands(self) -> list[str]:
        """The commands of the README's first example, the last of which takes everything away."""
        section = self._readme.partition("\n## See it in five minutes\n")[2].partition("\n## ")[0]
        commands = re.findall(r"^\$ (.+?)(?: +#.*)?$", section, re.MULTILINE)
        if len(commands) < 2:
            raise Failed("The README shows no example that is begun with one command and taken away with another.")
        return commands

    def _play(self, commands: t.Sequence[str]) -> str:
        """Type the commands and return Ansible's recap. Raises Failed."""
        output = "".join(self._type(command) for command in commands)
        recap = re.findall(r"^localhost +: (.*\S) *$", output, re.MULTILINE)
        if not recap:
            raise Failed(f"{output}\nThis does not end with Ansible's recap.")
        return re.sub(" +", " ", recap[-1])

    def _type(self, command: str) -> str:
        own = {"HOME": str(self._home), "TMPDIR": str(self._temporary), "PATH": _PATH, "LANG": "C.UTF-8"}
        variables = [f"{name}={value}" for name, value in {**_ways_to_download(), **own}.items()]
        # What it starts goes on, as it does for somebody who types it.
        command_line = ["env", "-i", *variables, "sh", "-c", command]
        return execute(command_line, self.checkout, account=self._account, lasting=True)

    def _untracked(self) -> set[str]:
        return set(self._type("git status --short --ignored").splitlines())

    def _processes(self) -> list[int]:
        """The processes that were started from something below the checkout."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                if f"{self.checkout}/" in words:
                    found.append(int(process.name))
        return sorted(found)


@contextlib.contextmanager
def newcomer(collection: Path) -> t.Iterator[Newcomer]:
    """Give somebody new with a checkout of the collection; afterwards nothing of them is left. Raises CannotRun."""
    with tempfile.TemporaryDirectory(prefix="newcomer_", ignore_cleanup_errors=True) as directory:
        somebody = Newcomer(collection, Path(directory))
        try:
            yield somebody
        finally:
            somebody.leave()


def _install_tools() -> None:
    """Install what the README says one needs. Raises CannotRun where that is not possible."""
    missing = [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]
    python = shutil.which("python3", path=_PATH)
    if not python or not has_pip(Path(python)):
        missing.append("python3-venv")
    if missing:
        install_packages(missing)


def _ordinary_account() -> Account | None:
    """Somebody who is not the superuser: None for whoever runs the tests, if that is one already. Raises CannotRun."""
    if os.geteuid():
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise CannotRun("there is no account nobody, as whom the superuser could try it") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


@functools.cache
def _ways_to_download() -> dict[str, str]:
    """The variables that let others download as this user does."""
    kept = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for option, value in re.findall(r"^[\w:-]+\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if option in _PIP_OPTIONS:
            kept[f"PIP_{option.replace('-', '_').upper()}"] = value
    return kept


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
