# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import port
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.port import (
    Counter,
    PortProcess,
    failure_reason,
    port_arguments,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work

LOG = "2026-11-30 03:00:00,123 - synapse_port_db - 481 - "


class Reported:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.all: list[tuple[t.Any, ...]] = []

    def report(self, work: Work, done: int, total: int, *, size: int) -> None:
        """Keep one report."""
        self.all.append((work, done, total, size))


def run(script: str, *, begin: bool = True) -> list[str]:
    """Run a program in the place of Synapse's, and return what was counted."""
    seen: list[str] = []

    class Seen(Counter):
        def see(self, line: str) -> None:
            seen.append(line.strip())

    lock = os.open("/", os.O_RDONLY)
    try:
        with PortProcess([sys.executable, "-u", "-c", script], "/", lock, {}) as process:
            if begin:
                process.begin(Seen(Work.ROWS_COPIED, {}))
                process.wait()
    finally:
        os.close(lock)
    return seen


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported()
    monkeypatch.setattr(port, "progress", reported)
    counter = Counter(Work.ROWS_COPIED, {"users": 10, "events": 2000})
    counter.see("Preparing psycopg2...")
    assert reported.all == []
    counter.see("users: 50% (5/10)\n")
    assert reported.all[-1] == (Work.ROWS_COPIED, 5, 2010, 0)
    counter.see(f"{LOG}INFO - Table events: 1500/2500 (rows 1-1500) already ported")
    assert reported.all[-1] == (Work.ROWS_COPIED, 1505, 2510, 0)
    counter.see("users: 100% (10/10)")
    counter.see("rooms: 100% (3/3)")
    assert reported.all[-1] == (Work.ROWS_COPIED, 1513, 2513, 2)


def test_the_files_of_libpq_are_not_those_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    assert run("import os, sys; sys.stdin.readline(); print('HOME' in os.environ)") == ["False"]


def test_a_module_of_synapse_may_be_in_its_working_directory(tmp_path: pathlib.Path) -> None:
    _installed(tmp_path, "def main():\n    import of_synapse\n    print(of_synapse.__name__)\n")
    (tmp_path / "of_synapse.py").touch()
    done = subprocess.run(
        port_arguments(sys.executable, "copy.db", "port.yaml", 1000, isolated=False),
        input="begin\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout == "of_synapse\n", done.stderr


def test_a_program_that_succeeds() -> None:
    lines = run("import sys; print(sys.stdin.readline().strip()); print('users: 100% (1/1)')")
    assert lines == ["begin", "users: 100% (1/1)"]


def test_an_error_of_another_logger_does_not_matter() -> None:
    run(f"import sys; print({LOG.replace('synapse_port_db', 'synapse.metrics')!r} + 'ERROR - twice', file=sys.stderr)")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('No space left on device')", "failed: No space left on device. If a row"),
        ("import os; os.kill(os.getpid(), 9)", "failed: it was ended by SIGKILL"),
        ("raise SystemExit(5)", "failed: it gave no reason"),
        # The exit status is 0.
        (f"import sys; print({LOG!r} + 'ERROR - Failed to insert: users', file=sys.stderr)", "Failed to insert: users"),
    ],
)
def test_a_program_that_fails(script: str, message: str) -> None:
    with pytest.raises(SynapseError, match=message):
        run(script)


def test_a_program_that_is_not_needed_any_more_is_ended(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "done"
    run(f"import sys, time; sys.stdin.readline(); time.sleep(60); open({str(path)!r}, 'w')", begin=False)
    assert not path.exists()


def test_a_program_that_cannot_be_started() -> None:
    with pytest.raises(SynapseError, match="cannot be run in /nowhere"):
        PortProcess([sys.executable], "/nowhere", 0, {})


def test_the_reason_is_no_line_of_the_log() -> None:
    lines = [
        f"{LOG}INFO - a\n",
        "Traceback (most recent call last):\n",
        '  File "a"\n',
        "a.Error: key\n",
        "DETAIL: x\n",
    ]
    assert failure_reason(lines, []) == "a.Error: key"
    assert failure_reason([f"{LOG}INFO - a"], ["", "first", "last"]) == "last"


def test_the_reason_is_in_the_first_line_of_a_failure_of_twisted() -> None:
    lines = [
        "twisted.internet.defer.FirstError: FirstError[#3, [Failure instance: Traceback: <class"
        " 'psycopg2.errors.AdminShutdown'>: terminating connection due to administrator command\n",
        "server closed the connection unexpectedly\n",
        "/usr/lib/python3/twisted/internet/defer.py:1078:_runCallbacks\n",
        "--- <exception caught here> ---\n",
        "]]\n",
    ]
    assert failure_reason(lines, []) == "terminating connection due to administrator command"


def test_nothing_secret_is_in_the_arguments() -> None:
    arguments = port_arguments("python", "/data/copy.db", "/data/port.yaml", 500, isolated=True)
    assert arguments[-6:] == [
        "--sqlite-database",
        "/data/copy.db",
        "--postgres-config",
        "/data/port.yaml",
        "--batch-size",
        "500",
    ]


def _installed(place: pathlib.Path, text: str) -> None:
    scripts = place / "synapse" / "_scripts"
    scripts.mkdir(parents=True)
    (place / "synapse" / "__init__.py").touch()
    (scripts / "__init__.py").touch()
    (scripts / "synapse_port_db.py").write_text(text)


def test_the_program_waits_until_it_is_told_to_begin(tmp_path: pathlib.Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = tmp_path / "venv" / "lib" / version / "site-packages"
    _installed(packages, "import sys\ndef main():\n    print(sys.argv)\n")
    # What is there is never imported.
    for other in ("path", "directory"):
        _installed(tmp_path / other, "raise SystemExit('another Synapse')")
    for given, expected in (("begin\n", "['synapse_port_db', '--sqlite-database'"), ("", "")):
        done = subprocess.run(
            port_arguments(str(python), "copy.db", "port.yaml", 1000, isolated=True),
            input=given,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "path")},
            cwd=tmp_path / "directory",
            check=False,
        )
        assert done.stdout.startswith(expected)
        assert bool(done.returncode) is not bool(given), done.stderr
        assert "another Synapse" not in done.stderr
