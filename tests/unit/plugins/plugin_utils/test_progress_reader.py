# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import (
    DESCRIPTOR,
    VARIABLE,
    Measure,
    Record,
    Work,
    encode,
    memory_name,
)
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_reader import ProgressReader

WORD = "0123456789abcdef" * 2
RECORD = Record(Work.MEDIA, 400, Measure(120, None, 12.5), Measure(0, None, 2.25))
# In seconds. Only a broken test waits for it.
LONG = 30

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memfd_create")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

# What a module does: it runs this file of the collection, reports, and waits.
_MODULE = """
import runpy, sys
found = runpy.run_path(sys.argv[1])
found["progress"].report(found["Work"].MEDIA, 120, 400)
"""

# What another process may offer at the descriptor, given its name there and a record.
_OFFER = """
import os, sys
descriptor, name, data, path = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode(), sys.argv[4]
NOBODY = 65534

def memory(mode=0o600):
    made = os.memfd_create(name)
    os.fchmod(made, mode)
    os.write(made, data)
    return made

"""
_READY = """
print("ready", flush=True)
sys.stdin.read()
"""
_OFFERED = {
    "a pipe that nobody writes into": "os.mkfifo(path, 0o600); offered = os.open(path, os.O_RDWR)",
    "a file of the system": "offered = os.open('/etc/passwd', os.O_RDONLY)",
    "a file": "open(path, 'wb').write(data); os.chmod(path, 0o600); offered = os.open(path, os.O_RDONLY)",
    "a device": "offered = os.open('/dev/null', os.O_RDONLY)",
    "memory with another name": "name = 'progress'; offered = memory()",
    "memory with another word": "name = name[:-1] + 'x'; offered = memory()",
    "memory for everybody": "offered = memory(0o777)",
    "memory with something else": "data = b'your server was broken into'; offered = memory()",
}
_OFFERED_BY_OTHERS = {
    # Its directory in /proc belongs to root, because it cannot be dumped any more.
    "memory of another user": "os.setgid(NOBODY); os.setuid(NOBODY); offered = memory()",
    "memory of root in a process of another user": "offered = memory(); os.setgid(NOBODY); os.setuid(NOBODY)",
    "memory of root in a process that root has started for another user": "offered = memory(); os.setreuid(NOBODY, 0)",
    "memory of another user in a process of root": "os.seteuid(NOBODY); offered = memory(); os.seteuid(0)",
}


class Shell:
    """Answers commands of the shell one after the other, and keeps them."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.commands: list[str] = []

    def __call__(self, command: str) -> str:
        self.commands.append(command)
        return self._answers.pop(0)


def data(done: int) -> str:
    return encode(RECORD._replace(now=Measure(done, None, 12.5))).decode()


def dones(reader: ProgressReader, count: int) -> list[int | None]:
    records = [reader.read() for _number in range(count)]
    return [record.now.done if record else None for record in records]


def searches(shell: Shell) -> list[bool]:
    return ["/proc/[0-9]*/fd" in command for command in shell.commands]


def test_a_process_that_was_found_is_read_again_without_a_search() -> None:
    shell = Shell(*(f"/proc/77/fd/{DESCRIPTOR}\n{data(number)}" for number in (1, 2, 3)))
    assert dones(ProgressReader(WORD, shell), 3) == [1, 2, 3]
    assert searches(shell) == [True, False, False]
    assert f"/proc/77/fd/{DESCRIPTOR}" in shell.commands[1]


def test_a_process_that_has_ended_is_searched_again() -> None:
    found = f"/proc/78/fd/{DESCRIPTOR}\r\n"
    shell = Shell("", f"/proc/77/fd/{DESCRIPTOR}\n{data(1)}", "", found + data(2), found + data(3))
    assert dones(ProgressReader(WORD, shell), 5) == [None, 1, None, 2, 3]
    assert searches(shell) == [True, True, False, True, False]


def test_what_a_shell_prints_at_its_start_does_not_matter() -> None:
    shell = Shell(f"Welcome!\r\n/proc/77/fd/{DESCRIPTOR}\r\n{data(1)}\r\n")
    assert dones(ProgressReader(WORD, shell), 1) == [1]


@pytest.mark.parametrize("path", ["/proc/77/fd/900; rm x", "/etc/shadow", "", f"/proc/self/fd/{DESCRIPTOR}"])
def test_only_a_number_of_a_process_gets_into_a_command(path: str) -> None:
    shell = Shell(f"{path}\n{data(1)}", f"{path}\n{data(2)}")
    assert dones(ProgressReader(WORD, shell), 2) == [None, None]
    assert searches(shell) == [True, True]


@pytest.mark.parametrize("answer", ["sh: 1: find: not found", "ü\n\x00", f"/proc/77/fd/{DESCRIPTOR}\nroot:x:0:0"])
def test_anything_else_is_no_record(answer: str) -> None:
    assert ProgressReader(WORD, Shell(answer)).read() is None


def run(command: str) -> str:
    return subprocess.run(
        ["/bin/sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False, timeout=LONG
    ).stdout


class Started:
    """A context in which a Python program has done its work, and waits."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program + _READY, *arguments],
            env={**os.environ, VARIABLE: WORD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Started:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@linux
def test_a_real_process_is_read_until_it_is_killed() -> None:
    reader = ProgressReader(WORD, run)
    with Started(_MODULE, _progress.__file__) as module:
        for _number in range(2):
            record = reader.read()
            assert record is not None
            assert (record.work, record.now.done, record.total) == (Work.MEDIA, 120, 400)
        assert ProgressReader("f" * 32, run).read() is None
        module.kill()
        assert reader.read() is None
        assert reader.read() is None


def offered(work: str, directory: pathlib.Path) -> Started:
    end = "os.dup2(offered, descriptor)\n"
    return Started(f"{_OFFER}{work}\n{end}", str(DESCRIPTOR), memory_name(WORD), data(120), str(directory / "offered"))


@linux
def test_the_memory_of_the_own_user_is_read(tmp_path: pathlib.Path) -> None:
    with offered("offered = memory()", tmp_path):
        assert dones(ProgressReader(WORD, run), 1) == [120]


@linux
@pytest.mark.parametrize("work", _OFFERED.values(), ids=_OFFERED.keys())
def test_nothing_but_memory_of_this_module_is_read(work: str, tmp_path: pathlib.Path) -> None:
    with offered(work, tmp_path):
        assert ProgressReader(WORD, run).read() is None


@linux
@root
@pytest.mark.parametrize("work", _OFFERED_BY_OTHERS.values(), ids=_OFFERED_BY_OTHERS.keys())
def test_nothing_of_another_user_is_read(work: str, tmp_path: pathlib.Path) -> None:
    with offered(work, tmp_path):
        assert ProgressReader(WORD, run).read() is None
        with Started(_MODULE, _progress.__file__):
            # It does not hide the module either.
            assert dones(ProgressReader(WORD, run), 1) == [120]


@linux
def test_a_search_that_hangs_ends_itself(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = tmp_path / "find"
    find.write_text("#!/bin/sh\nexec sleep 1000\n")
    find.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert ProgressReader(WORD, lambda command: run(command.replace(" 5 /bin/sh", " 0.2 /bin/sh"))).read() is None
