# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command as StoppableCommand
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import command as export_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import (
    failure_reason,
    interruptible,
    read_synapse_python,
    require_main_process,
    run_export,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.script import export_script
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work

TRACEBACK = [
    "2026-11-23 06:42:57,600 - synapse.handlers.admin - 320 - INFO - start - Written 1 devices",
    "main function encountered error",
    "Traceback (most recent call last):",
    '  File "/venv/admin_cmd.py", line 240, in write_account_data',
    '    with open(account_data_file, "a") as f:',
    "builtins.OSError: [Errno 28] No space left on device",
    "",
    "2026-11-23 06:42:57,621 - synapse.app._base - 741 - INFO - log_shutdown - Shutting down...",
    "2026-11-23 06:42:57,624 - twisted - 273 - INFO - sentinel - Main loop terminated.",
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (TRACEBACK, "builtins.OSError: [Errno 28] No space left on device"),
        (["", "Missing mandatory `server_name` config option.", ""], "Missing mandatory `server_name` config option"),
        (TRACEBACK[:1], "the command gave no reason"),
        ([], "the command gave no reason"),
        (["x" * 1000], "x" * 300),
    ],
)
def test_failure_reason(lines: list[str], reason: str) -> None:
    assert failure_reason(lines) == reason


class Command:
    """A program that replaces Synapse's Python, and its run."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.program = directory / "python"

    def write(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    def run(self, timeout: float | None = None) -> None:
        lock = os.open(self.directory, os.O_RDONLY)
        try:
            run_export(
                str(self.program),
                ["/etc/one.yaml", "two"],
                "@a/b=c:s.test",
                "/exports/x",
                "/exports/ids",
                include_forgotten=False,
                working_directory=str(self.directory),
                timeout=timeout,
                lock=lock,
            )
        finally:
            os.close(lock)

    def wait_until_ended(self) -> None:
        """Wait until the process that wrote its number into the file pid has ended, or fail."""
        pid = int((self.directory / "pid").read_text())
        deadline = time.monotonic() + 10
        while self._state(pid) not in ("", "Z"):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _state(self, pid: int) -> str:
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return ""


@pytest.fixture
def command(tmp_path: pathlib.Path) -> Command:
    return Command(tmp_path)


def test_run_export_arguments(command: Command) -> None:
    command.write("""
        printf '%s\\n' "$1" "$2" > arguments; printf '%s' "$3" > script; shift 3
        printf '%s\\n' "$@" >> arguments; umask > umask; pwd > pwd
    """)
    command.run()
    assert (command.directory / "arguments").read_text().splitlines() == [
        *("-B", "-c", "--config-path", "/etc/one.yaml", "--config-path", os.path.abspath("two")),
        *("export-data", "@a/b=c:s.test", "--output-directory", "/exports/x"),
    ]
    assert (command.directory / "script").read_text() == export_script("/exports/ids", include_forgotten=False)
    assert (command.directory / "umask").read_text().strip() == "0077"
    assert (command.directory / "pwd").read_text().strip() == str(command.directory)
    assert (command.directory / "arguments").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'OSError: No space left on device' >&2; exit 1",
            "failed: OSError: No space left.*Free space on the disk",
        ),
        (
            "echo \"Error accessing file 'x'\" >&2; exit 1",
            "failed: Error accessing file 'x'.*become.*working_directory",
        ),
        ("echo out; echo 'ValueError: odd.' >&2; exit 3", "failed: ValueError: odd. Check that config_path"),
        ("echo 'not the reason' >&2; kill -9 $$", "failed: it was ended by SIGKILL. Check"),
        ("exit 2", "failed: the command gave no reason. Check"),
    ],
)
def test_run_export_fails(command: Command, script: str, message: str) -> None:
    command.write(script)
    with pytest.raises(SynapseError, match=message) as raised:
        command.run()
    assert "\n" not in raised.value.message
    ended_by_signal = "SIGKILL" in message
    assert raised.value.details == {"exit_status": -9 if ended_by_signal else int(script.rpartition(" ")[2])}


def test_run_export_of_a_program_that_cannot_be_run(command: Command) -> None:
    with pytest.raises(SynapseError, match="python cannot be run in .* Check synapse_python and working_directory"):
        command.run()


class Slow:
    """A command that ends when it is waited for the third time."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None) -> int:
        self.waits.append(timeout)
        if len(self.waits) < 3:
            raise subprocess.TimeoutExpired("slow", timeout or 0)
        return 7


def test_rooms_are_counted_while_the_command_runs(tmp_path: pathlib.Path, reports: list[tuple[t.Any, ...]]) -> None:
    for name in ("!a:x.org", "!b:x.org"):
        (tmp_path / name).mkdir()
    (tmp_path / "!a:x.org" / "events").write_text("12345")
    slow = Slow()
    assert export_command._wait(t.cast(StoppableCommand, slow), None, str(tmp_path)) == 7
    assert slow.waits == [1.0] * 3
    assert reports == [(Work.ROOMS_WRITTEN, 2, 5)] * 2
    with pytest.raises(subprocess.TimeoutExpired):
        export_command._wait(t.cast(StoppableCommand, Slow()), 0.5, str(tmp_path))


def test_no_rooms_are_counted_if_nobody_watches(tmp_path: pathlib.Path) -> None:
    slow = Slow()
    with pytest.raises(subprocess.TimeoutExpired):
        export_command._wait(t.cast(StoppableCommand, slow), None, str(tmp_path))
    assert slow.waits == [None]


def test_run_export_takes_much_output(command: Command) -> None:
    command.write("head -c 1000000 /dev/zero | tr '\\0' '\\n' >&2; echo 'The end' >&2; exit 1")
    with pytest.raises(SynapseError, match="failed: The end"):
        command.run(30)


def test_run_export_ends_the_command_when_it_takes_too_long(command: Command) -> None:
    # The child of the shell must be ended too.
    command.write("sleep 60 & echo $! > pid; wait")
    started = time.monotonic()
    with pytest.raises(SynapseError, match="within 0.5 seconds. Increase export_timeout"):
        command.run(0.5)
    assert time.monotonic() - started < 30
    command.wait_until_ended()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_run_export_ends_the_command_when_the_task_is_ended(command: Command, number: signal.Signals) -> None:
    command.write(f"sleep 60 & echo $! > pid; kill -{int(number)} $PPID; wait")
    # Under nohup, the tests themselves ignore one of the signals.
    inherited = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(SynapseError, match=f"interrupted by {number.name}"), interruptible():
            command.run(30)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)
    command.wait_until_ended()


def test_signal_that_another_thread_takes_while_the_command_starts(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.write("sleep 60 & echo $! > pid; wait")
    begun = threading.Event()

    def take() -> None:
        begun.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    other = threading.Thread(target=take)
    other.start()

    class Started(StoppableCommand):
        def __init__(self, *arguments: t.Any, **named: t.Any) -> None:
            super().__init__(*arguments, **named)
            while not (command.directory / "pid").exists():
                time.sleep(0.01)
            begun.set()
            other.join()

    monkeypatch.setattr(export_command, "Command", Started)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(SynapseError, match="interrupted by SIGTERM"), interruptible():
        command.run(30)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    command.wait_until_ended()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells the command that its task was killed")
@pytest.mark.parametrize(("parent", "status"), [(os.getpid, 0), (os.getppid, 1)], ids=["runs", "was killed"])
def test_command_begins_only_while_its_task_runs(parent: t.Callable[[], int], status: int) -> None:
    expected = parent()
    child = os.fork()
    if child == 0:
        export_command._prepare_child((), expected)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "does not have Synapse installed. Set synapse_python"),
        ("echo nothing", "does not have Synapse installed"),
        (None, "cannot be run: No such file or directory"),
    ],
)
def test_read_synapse_python_refuses(command: Command, script: str | None, message: str) -> None:
    if script is not None:
        command.write(script)
    with pytest.raises(InvalidInput, match=message):
        read_synapse_python(str(command.program))


def test_read_synapse_python_asks_the_python(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = tmp_path / "synapse" / "storage" / "schema"
    schema.mkdir(parents=True)
    (tmp_path / "synapse" / "__init__.py").write_text("raise ImportError('must not be imported')")
    (schema / "__init__.py").write_text("SCHEMA_VERSION = 7")
    metadata = tmp_path / "matrix_synapse-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: matrix-synapse\nVersion: 1.2.3\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_synapse_python(sys.executable) == (sys.executable, "1.2.3", 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, None),
        ({"worker_app": "synapse.app.homeserver", "worker_daemonize": False}, None),
        ({"worker_replication_secret": "x"}, None),
        ({"signing_key_path": "relative.key"}, None),
        ({"signing_key_path": __file__}, None),
        ({"worker_app": "synapse.app.generic_worker"}, "/etc/x.yaml is the configuration of a worker"),
        ({"worker_daemonize": True}, "it sets worker_daemonize"),
        ({"signing_key_path": "/missing/key"}, "signing key /missing/key, which is set in /etc/x.yaml, cannot be read"),
    ],
)
def test_require_main_process(settings: dict[str, t.Any], message: str | None) -> None:
    configuration = Configuration((ConfigurationFile("/etc/x.yaml", settings),))
    if message is None:
        require_main_process(configuration)
    else:
        with pytest.raises(ConfigurationError, match=message):
            require_main_process(configuration)
