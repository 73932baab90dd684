# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import resource
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    CommandLine,
    Process,
    ProcessReader,
    find_processes,
    parse_command_line,
)

MAIN, WORKER = "synapse.app.homeserver", "synapse.app.generic_worker"
# A program that is started like Synapse, prints a line when it runs, and ends with its standard input.
PROGRAM = "import sys\nprint('runs', flush=True)\nsys.stdin.read()\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"/opt/venv/bin/python -m {MAIN} -c a.yaml", CommandLine(MAIN, ("a.yaml",))),
        (f"python3 -m {MAIN} --config-path=a -cb --config-path c/", CommandLine(MAIN, ("a", "b", "c/"))),
        (f"python3.13 -B -m {MAIN} -c a -D", CommandLine(MAIN, ("a",), True)),
        (f"python -X dev -W error -Im {WORKER} -c a --daemonize", CommandLine(WORKER, ("a",), True)),
        ("/v/bin/python /v/bin/synapse_homeserver -c a", CommandLine(MAIN, ("a",))),
        ("/v/bin/python -u /v/bin/synapse_worker -c a", CommandLine(WORKER, ("a",))),
        (f"pypy3 -m {MAIN}", CommandLine(MAIN, ())),
        (f"python -m {MAIN} -c", CommandLine(MAIN, ())),
        ("python -m synapse.app.admin_cmd -c a export-data @x:y", None),
        (f"python -m {MAIN} -c a --generate-keys", None),
        (f"python -m {MAIN} --generate-config -c a", None),
        (f"sudo -u matrix-synapse python -m {MAIN} -c a", None),
        (f"bash -c python -m {MAIN} -c a", None),
        (f"grep python -m {MAIN} -c a", None),
        (f"watch-python -m {MAIN} -c a", None),
        (f"python script.py -m {MAIN} -c a", None),
        ("python -m http.server", None),
        ("python -m", None),
        ("python", None),
        ("", None),
    ],
)
def test_parse_command_line(words: str, expected: CommandLine | None) -> None:
    assert parse_command_line(words.split()) == expected


class Program:
    """A directory in which programs are started like Synapse."""

    def __init__(self, directory: pathlib.Path, stack: contextlib.ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        package = directory / "python" / "synapse" / "app"
        package.mkdir(parents=True)
        for name in ("homeserver", "generic_worker", "admin_cmd"):
            (package / f"{name}.py").write_text(PROGRAM)

    def start(self, *arguments: str, wrapper: t.Sequence[str] = (), **environment: str) -> int:
        """Start a program and return its process id when it runs."""
        environment["PYTHONPATH"] = str(self.directory / "python")
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", *arguments],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._stack.enter_context(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n"
        return process.pid


@pytest.fixture
def program(tmp_path: pathlib.Path) -> t.Iterator[Program]:
    with contextlib.ExitStack() as stack:
        yield Program(tmp_path, stack)


def test_the_processes_of_a_configuration_are_found(program: Program, tmp_path: pathlib.Path) -> None:
    own, other = str(tmp_path / "homeserver.yaml"), str(tmp_path / "other.yaml")
    worker = program.start(WORKER, "-c", own, "-c", str(tmp_path / "worker.yaml"))
    main = program.start(MAIN, "--config-path", "homeserver.yaml", "-c", "conf.d/")
    daemon = program.start(MAIN, "-c", "homeserver.yaml", "-D", PWD=str(tmp_path))
    program.start(MAIN, "-c", other)
    program.start(MAIN, "-c", "homeserver.yaml", "-D", PWD="/elsewhere")
    program.start("synapse.app.admin_cmd", "-c", own)
    found, unknown = find_processes([own, str(tmp_path / "conf.d")])
    assert found == [
        Process(main, MAIN, (own, f"{tmp_path}/conf.d/"), sys.executable),
        Process(daemon, MAIN, (own,), sys.executable, daemonized=True),
        Process(worker, WORKER, (own, str(tmp_path / "worker.yaml")), sys.executable),
    ]
    assert unknown == []


def test_a_wrapper_is_not_a_process_of_synapse(program: Program, tmp_path: pathlib.Path) -> None:
    own = str(tmp_path / "homeserver.yaml")
    wrapper = program.start(MAIN, "-c", own, wrapper=["/bin/sh", "-c", '"$@"; exit', "sh"])
    found, _unknown = find_processes([own])
    assert len(found) == 1
    assert found[0].pid != wrapper


def test_a_linked_configuration_is_the_same(program: Program, tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    pid = program.start(MAIN, "-c", str(tmp_path / "link" / "homeserver.yaml"))
    found, _unknown = find_processes([str(tmp_path / "real" / "homeserver.yaml")])
    assert [process.pid for process in found] == [pid]


def test_what_a_process_has(program: Program, tmp_path: pathlib.Path) -> None:
    pid = program.start(MAIN, "-c", "a", PYTHONMALLOC="malloc", SYNAPSE_CACHE_FACTOR_GETEVENT="2=3", PASSWORD="hush")
    reader = ProcessReader(pid)
    assert reader.user() == pwd.getpwuid(os.geteuid()).pw_name
    assert reader.environment() == {"PYTHONMALLOC": "malloc", "SYNAPSE_CACHE_FACTOR_GETEVENT": "2=3"}
    assert reader.jemalloc() == {"loaded": False}
    assert reader.open_files() == len(os.listdir(f"/proc/{pid}/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert reader.file_limits() == {"soft": soft, "hard": hard}
    assert reader.started() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=60)
    assert reader.parent() == os.getpid()
    assert reader.control_group() == pathlib.Path("/proc/self/cgroup").read_text()
    assert reader.directory_at_start(daemonized=False) == str(tmp_path)
    assert reader.replaced_program() is None
    assert reader.unknown == []


def test_a_process_that_has_ended(program: Program) -> None:
    reader = ProcessReader(2**22 + 1)
    reads: list[t.Callable[[], object]] = [
        reader.user,
        reader.environment,
        reader.jemalloc,
        reader.open_files,
        reader.file_limits,
        reader.started,
        reader.replaced_program,
    ]
    for read in reads:
        with pytest.raises((FileNotFoundError, ProcessLookupError)):
            read()


def tree(proc: pathlib.Path, pid: str, namespace: str, **files: str) -> pathlib.Path:
    """Write the files of a process in /proc, for states that a test cannot create otherwise."""
    directory = proc / pid
    (directory / "ns").mkdir(parents=True)
    (directory / "ns" / "pid").symlink_to(namespace)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def test_jemalloc_and_limits_as_the_kernel_writes_them(tmp_path: pathlib.Path) -> None:
    library = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
    tree(
        tmp_path,
        "7",
        "pid:[1]",
        maps=f"7f00-7f01 r-xp 0 fe:00 1    /usr/lib/libc.so.6\n7f02-7f03 r-xp 0 fe:00 2    {library} (deleted)\n",
        limits="Limit   Soft Limit   Hard Limit   Units\nMax open files      1024      unlimited   files\n",
        status="Name:\tpython\nUid:\t1\t54321\t1\t1\n",
    )
    reader = ProcessReader(7, str(tmp_path))
    assert reader.jemalloc() == {"loaded": True, "library": library}
    assert reader.file_limits() == {"soft": 1024}
    assert reader.user() == "54321"


def test_the_empty_maps_of_a_process_that_has_ended(tmp_path: pathlib.Path) -> None:
    tree(tmp_path, "7", "pid:[1]", maps="")
    with pytest.raises(ProcessLookupError):
        ProcessReader(7, str(tmp_path)).jemalloc()
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as ended:
        # Its output ends with it. Nobody has asked for its status, so it is still there.
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError):
            ProcessReader(ended.pid).jemalloc()


def test_the_start_is_on_the_clock_of_the_boot_also_in_a_container(tmp_path: pathlib.Path) -> None:
    fields = " ".join(str(number) for number in range(4, 52))
    # The field 22 is the start, in ticks since the boot, of a program with any name.
    tree(tmp_path, "7", "pid:[1]", stat=f"7 (a) S (b c) S {fields}\n".replace(" 22 ", " 123456 "))
    (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1\n")
    reader = ProcessReader(7, str(tmp_path))
    assert reader.started() == 123456 / os.sysconf("SC_CLK_TCK")
    assert reader.parent() == 4


@pytest.mark.parametrize(
    ("program", "replaced"),
    [("/usr/bin/python3.11 (deleted)", "/usr/bin/python3.11"), ("/usr/bin/python3.11", None), ("/a (deleted)/b", None)],
)
def test_a_program_that_was_replaced(tmp_path: pathlib.Path, program: str, replaced: str | None) -> None:
    (tree(tmp_path, "7", "pid:[1]") / "exe").symlink_to(program)
    assert ProcessReader(7, str(tmp_path)).replaced_program() == replaced


def test_where_a_daemon_was_started(tmp_path: pathlib.Path) -> None:
    (tree(tmp_path, "7", "pid:[1]", environ="A=b\0PWD=/srv/chat\0") / "cwd").symlink_to("/")
    reader = ProcessReader(7, str(tmp_path))
    assert (reader.directory_at_start(True), reader.directory_at_start(False)) == ("/srv/chat", "/")


def test_the_processes_of_a_container_are_ignored(tmp_path: pathlib.Path) -> None:
    command = f"python -m {MAIN} -c /etc/matrix-synapse/homeserver.yaml ".replace(" ", "\0")
    tree(tmp_path, "self", "pid:[1]")
    tree(tmp_path, "7", "pid:[1]", cmdline=command)
    tree(tmp_path, "8", "pid:[2]", cmdline=command)
    found, _unknown = find_processes(["/etc/matrix-synapse/homeserver.yaml"], str(tmp_path))
    assert [process.pid for process in found] == [7]


def test_a_host_without_proc(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match=rf"^{tmp_path} shows no processes. Run this module on Linux"):
        find_processes(["/etc/matrix-synapse/homeserver.yaml"], str(tmp_path))


def as_nobody(look: t.Callable[[], str]) -> str:
    """Return what `look` returns to a user who is not root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, look().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process and then read it as another user")
def test_values_that_another_user_is_not_allowed_to_see(program: Program, tmp_path: pathlib.Path) -> None:
    pid = program.start(MAIN, "-c", "homeserver.yaml")

    def look() -> str:
        reader = ProcessReader(pid)
        seen = [
            reader.environment(),
            reader.jemalloc(),
            reader.open_files(),
            reader.replaced_program(),
            reader.user(),
            reader.file_limits()["soft"],
        ]
        _found, unknown = find_processes([str(tmp_path / "homeserver.yaml")])
        assert all(item.fix == "Run the task with become, as root." for item in [*reader.unknown, *unknown])
        hidden = [item.name for item in unknown if str(pid) in item.reason]
        return f"{seen} {[item.name for item in reader.unknown]} {hidden}"

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert as_nobody(look) == (
        f"[None, None, None, None, 'root', {soft}]"
        " ['environment', 'jemalloc', 'open_files', 'outdated_by'] ['processes']"
    )
