# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import builtins
import contextlib
import os
import pathlib
import pwd
import resource
import shutil
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    Found,
    InContainer,
    Process,
    ProcessReader,
    Unknown,
    find_processes,
)

MAIN, WORKER = "synapse.app.homeserver", "synapse.app.generic_worker"
# A program that is started like Synapse, prints a line when it runs, and ends with its standard input.
PROGRAM = "import sys\nprint('runs', flush=True)\nsys.stdin.read()\n"


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
    found, unknown, in_containers = find_processes([own, str(tmp_path / "conf.d")])
    assert found == [
        Process(main, MAIN, (own, f"{tmp_path}/conf.d/"), sys.executable),
        Process(daemon, MAIN, (own,), sys.executable, daemonized=True),
        Process(worker, WORKER, (own, str(tmp_path / "worker.yaml")), sys.executable),
    ]
    assert unknown == []
    assert [one for one in in_containers if str(tmp_path) in one.config_path[0]] == []


def test_a_wrapper_is_not_a_process_of_synapse(program: Program, tmp_path: pathlib.Path) -> None:
    own = str(tmp_path / "homeserver.yaml")
    wrapper = program.start(MAIN, "-c", own, wrapper=["/bin/sh", "-c", '"$@"; exit', "sh"])
    found = find_processes([own]).processes
    assert len(found) == 1
    assert found[0].pid != wrapper


def test_a_linked_configuration_is_the_same(program: Program, tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    pid = program.start(MAIN, "-c", str(tmp_path / "link" / "homeserver.yaml"))
    found = find_processes([str(tmp_path / "real" / "homeserver.yaml")]).processes
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
    assert (reader.user(), reader.user_number()) == ("54321", 54321)


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


CONFIG = "/etc/matrix-synapse/homeserver.yaml"
CONTAINER = f"0::/system.slice/docker-0123456789ab{'c' * 52}.scope\n"


class Proc:
    """A directory like /proc, with processes that are started like Synapse."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        tree(path, "self", "pid:[1]")

    def add(
        self,
        pid: int,
        *words: str,
        root: str = "/",
        namespace: str = "pid:[1]",
        program: str | None = None,
        **files: str,
    ) -> pathlib.Path:
        """Add a process with this command line, by default that of a main process."""
        words = words or ("/venv/bin/python", "-m", MAIN, "-c", CONFIG)
        files = {"cmdline": "".join(f"{word}\0" for word in words), "cgroup": "0::/\n", **files}
        directory = tree(self.path, str(pid), namespace, **files)
        (directory / "root").symlink_to(root)
        if program:
            (directory / "exe").symlink_to(program)
        return directory

    def find(self, config_path: str = CONFIG) -> Found:
        return find_processes([config_path], str(self.path))

    def found(self) -> list[int]:
        return [process.pid for process in self.find().processes]


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> Proc:
    return Proc(tmp_path / "proc")


def test_a_daemon_that_goes_on_as_a_child_while_it_is_looked_for(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(7)
    listed = os.listdir

    def list_and_fork(path: str) -> list[str]:
        names = listed(path)
        if "7" in names:
            shutil.rmtree(proc.path / "7")
            proc.add(8)
        return names

    monkeypatch.setattr(os, "listdir", list_and_fork)
    assert proc.found() == [8]


def test_processes_in_containers_are_listed_on_their_own(proc: Proc, tmp_path: pathlib.Path) -> None:
    other = str(tmp_path)
    proc.add(7)
    # A hardened unit has a PID namespace of its own, and the same files.
    proc.add(8, namespace="pid:[2]")
    proc.add(9, root=other, namespace="pid:[3]", cgroup=CONTAINER)
    proc.add(10, "python", "-m", WORKER, "-c", "a.yaml", "--c", "w.yaml", root=other, namespace="pid:[4]")
    proc.add(11, root=other)
    proc.add(12, "python", "-m", MAIN, root=other)
    proc.add(13, "vim", CONFIG, root=other)
    proc.add(14, "python", "-m", MAIN, "-c", CONFIG, "--generate-k", root=other)
    assert proc.find() == Found(
        [
            Process(7, MAIN, (CONFIG,), "/venv/bin/python"),
            Process(8, MAIN, (CONFIG,), "/venv/bin/python"),
        ],
        [],
        [
            InContainer(9, MAIN, (CONFIG,), "docker 0123456789ab"),
            InContainer(10, WORKER, ("a.yaml", "w.yaml"), "another PID namespace"),
            InContainer(11, MAIN, (CONFIG,), "another root directory"),
        ],
    )


def test_programs_with_a_name_of_their_own(proc: Proc) -> None:
    options = ("-m", MAIN, "-c", CONFIG)
    proc.add(7, "synapse main", *options, program="/usr/bin/python3.13")
    proc.add(8, "synapse main", *options, program="/usr/bin/python3.13 (deleted)")
    proc.add(9, "synapse main", *options, program="/usr/bin/dash")
    proc.add(10, "/bin/sh", "/venv/bin/synapse_homeserver", "-c", CONFIG, program="/usr/bin/dash")
    proc.add(11, "/lib64/ld-linux-x86-64.so.2", "/v/bin/python", *options, program="/lib64/ld-linux-x86-64.so.2")
    assert proc.find() == Found(
        [
            Process(7, MAIN, (CONFIG,), "/usr/bin/python3.13"),
            Process(8, MAIN, (CONFIG,), "/usr/bin/python3.13"),
            Process(11, MAIN, (CONFIG,), "/v/bin/python"),
        ],
        [],
        [],
    )


def refuse(monkeypatch: pytest.MonkeyPatch, place: t.Any, function: str, *ends: str) -> None:
    """Do not allow this user to read the paths with these ends."""
    original = getattr(place, function)

    def refused(path: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
        if str(path).endswith(ends):
            raise PermissionError(13, "Permission denied", path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(place, function, refused)


def test_the_program_of_another_user(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("-m", MAIN, "-c", CONFIG)
    proc.add(7, "synapse main", *options, comm="python3.13\n")
    proc.add(8, "synapse main", *options, comm="dash\n")
    refuse(monkeypatch, os, "readlink", "/exe")
    assert proc.find().processes == [Process(7, MAIN, (CONFIG,), "python3.13")]
    assert proc.find().unknown == []


def test_processes_of_another_user(proc: Proc, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(7)
    proc.add(8, root=str(tmp_path), namespace="pid:[2]")
    refuse(monkeypatch, os, "stat", "/root")
    # As it was before this could be compared: only the namespace counts, if this user is allowed to see it.
    assert proc.found() == [7]
    refuse(monkeypatch, os, "readlink", "/7/ns/pid", "/8/ns/pid")
    assert proc.found() == [7, 8]


def test_relative_paths_of_another_user(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(7, "python", "-m", MAIN, "-c", "homeserver.yaml")
    proc.add(8, "python", "-m", MAIN, "-c", "other.yaml")
    refuse(monkeypatch, os, "readlink", "/cwd")
    reason = "This user is not allowed to see whether process 7 runs with this configuration."
    assert proc.find() == Found([], [Unknown("processes", reason, "Run the task with become, as root.")], [])


def test_command_lines_that_this_user_cannot_see(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in range(7, 100):
        proc.add(pid)
    refuse(monkeypatch, builtins, "open", *(f"/{pid}/cmdline" for pid in range(8, 100)))
    found = proc.find()
    assert [process.pid for process in found.processes] == [7]
    assert [item.name for item in found.unknown] == ["processes"]
    assert "some processes (92, such as 8)" in found.unknown[0].reason


@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=invisible"])
def test_processes_that_the_kernel_hides(proc: Proc, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    proc.add(7)
    proc.add(8)
    (proc.path / "self" / "mounts").write_text(f"proc {proc.path} proc rw,{option} 0 0\n")
    assert proc.find().unknown == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    refuse(monkeypatch, builtins, "open", "/8/cmdline")
    reason = f"{proc.path} is mounted with {option}, so this user cannot see the processes of other users."
    assert proc.find().unknown == [Unknown("processes", reason, "Run the task with become, as root.")]
    assert proc.found() == [7]


@pytest.mark.parametrize("name", ["cmdline", "root", "exe", "cgroup"])
def test_a_process_that_ends_while_it_is_looked_at(proc: Proc, tmp_path: pathlib.Path, name: str) -> None:
    words = ("name", "-m", MAIN, "-c", CONFIG)
    directory = proc.add(7, *words, program="/usr/bin/python3", root=str(tmp_path))
    proc.add(8)
    (directory / name).unlink()
    assert proc.find() == Found([Process(8, MAIN, (CONFIG,), "/venv/bin/python")], [], [])


@pytest.mark.parametrize(
    "text",
    ["", "\0", "\0" * 9, "python", "python\0-m", f"python\0-m\0{MAIN}\0-c\0\0", "\udcff\0", "a\0" * 2**20],
)
def test_command_lines_of_other_programs(proc: Proc, text: str) -> None:
    (proc.add(7) / "cmdline").write_text(text, errors="surrogateescape")
    assert proc.find() == Found([], [], [])


def test_a_huge_command_line_that_begins_like_synapse(proc: Proc) -> None:
    (proc.add(7) / "cmdline").write_text(f"python\0-m\0{MAIN}\0-c\0{CONFIG}\0-f\0" + "a" * 2**20)
    assert proc.find() == Found([], [], [])


def test_a_command_line_without_its_last_end(proc: Proc) -> None:
    (proc.add(7) / "cmdline").write_text(f"python\0-m\0{MAIN}\0-c\0{CONFIG}")
    assert proc.found() == [7]


def test_unusual_characters_in_a_path(proc: Proc) -> None:
    path = "/etc/a\r\nb \x1b/homeserver.yaml"
    proc.add(7, "python", "-m", MAIN, "-c", path)
    (proc.add(8) / "cmdline").write_bytes(f"python\0-m\0{MAIN}\0-c\0{path}\0-c\0/\xff\0".encode("latin-1"))
    found = proc.find(path).processes
    assert [process.config_path for process in found] == [(path,), (path, "/\ufffd")]


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
        unknown = find_processes([str(tmp_path / "homeserver.yaml")]).unknown
        assert all(item.fix == "Run the task with become, as root." for item in [*reader.unknown, *unknown])
        hidden = [item.name for item in unknown if str(pid) in item.reason]
        return f"{seen} {[item.name for item in reader.unknown]} {hidden}"

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert as_nobody(look) == (
        f"[None, None, None, None, 'root', {soft}]"
        " ['environment', 'jemalloc', 'open_files', 'outdated_by'] ['processes']"
    )
