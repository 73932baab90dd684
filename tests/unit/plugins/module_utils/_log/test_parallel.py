# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work in several processes: results, errors, and that no process is left."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import multiprocessing.context
import os
import select
import signal
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    MissingLibrary,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import parallel
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parallel import in_processes, processors

# Several processes also where the tests have one processor.
TWO = 2


def failing_with(error: BaseException) -> t.Callable[[int], int]:
    def function(task: int) -> int:
        if task == 1:
            raise error
        return task

    return function


def test_the_results_are_in_the_order_of_the_tasks() -> None:
    factor = 3
    assert in_processes(lambda task: task * factor, list(range(20)), processes=TWO) == [each * 3 for each in range(20)]


def test_other_processes_do_the_work() -> None:
    found = in_processes(lambda task: os.getpid(), [1, 2, 3], processes=TWO)
    assert os.getpid() not in found
    assert len(set(found)) <= TWO


@pytest.mark.parametrize(("tasks", "processes"), [([1], 2), ([1, 2], 1), ([], 2)])
def test_one_task_or_one_processor(tasks: list[int], processes: int) -> None:
    assert in_processes(lambda task: os.getpid(), tasks, processes=processes) == [os.getpid()] * len(tasks)


def test_large_results() -> None:
    found = in_processes(lambda task: bytes([task]) * 3_000_000, [1, 2, 3], processes=TWO)
    assert [(each[0], len(each)) for each in found] == [(1, 3_000_000), (2, 3_000_000), (3, 3_000_000)]


def test_without_a_second_processor_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert processors() == 1
    assert in_processes(lambda task: os.getpid(), [1, 2]) == [os.getpid()] * 2


def test_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert processors() == 7


def test_a_python_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "HAS_PROCESSES", False)
    assert in_processes(lambda task: os.getpid(), [1, 2], processes=TWO) == [os.getpid()] * 2


def test_a_system_that_allows_only_some_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    start = multiprocessing.context.ForkProcess.start
    started: list[object] = []

    def limited(process: multiprocessing.context.ForkProcess) -> None:
        if len(started) == 1:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)
        started.append(process)

    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", limited)
    found = in_processes(lambda task: (task, os.getpid()), [1, 2, 3], processes=TWO)
    assert [task for task, pid in found] == [1, 2, 3]
    assert len({pid for task, pid in found}) == 1
    assert os.getpid() not in {pid for task, pid in found}


def test_a_system_that_allows_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(process: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", refused)
    assert in_processes(lambda task: os.getpid(), [1, 2], processes=TWO) == [os.getpid()] * 2


@pytest.mark.parametrize("error", [SynapseError("No.", file="a"), InvalidInput("No.", option="since")])
def test_an_error_arrives_as_it_is(error: SynapseError) -> None:
    with pytest.raises(SynapseError) as raised:
        in_processes(failing_with(error), [0, 1], processes=TWO)
    assert type(raised.value) is type(error)
    assert (raised.value.message, raised.value.details) == (error.message, error.details)


def test_an_error_with_a_constructor_of_its_own_arrives() -> None:
    with pytest.raises(MissingLibrary, match=r"The Python package yaml is needed for x\.") as raised:
        in_processes(failing_with(MissingLibrary("yaml", "for x")), [0, 1], processes=TWO)
    assert raised.value.library == "yaml"


def test_an_error_of_the_system_arrives() -> None:
    with pytest.raises(PermissionError) as raised:
        in_processes(failing_with(PermissionError(errno.EACCES, "Permission denied", "/x")), [0, 1], processes=TWO)
    assert (raised.value.errno, raised.value.filename) == (errno.EACCES, "/x")


def test_an_unexpected_error_is_described() -> None:
    with pytest.raises(SynapseError, match="^ValueError in "):
        in_processes(failing_with(ValueError("secret")), [0, 1], processes=TWO)


def test_an_error_that_cannot_be_pickled() -> None:
    class Own(Exception):
        pass

    with pytest.raises(SynapseError, match="^Own in "):
        in_processes(failing_with(Own(lambda: 1)), [0, 1], processes=TWO)


def test_a_process_that_was_killed() -> None:
    with pytest.raises(SynapseError, match=rf"was killed by signal {int(signal.SIGKILL)} before it was done"):
        in_processes(lambda task: os.kill(os.getpid(), signal.SIGKILL), [0, 1], processes=TWO)


def test_a_process_that_exited() -> None:
    with pytest.raises(SynapseError, match="exited with code 3"):
        in_processes(lambda task: os._exit(3), [0, 1], processes=TWO)


def endless(told: int) -> t.Callable[[int], None]:
    """A function that writes the number of its process, and does not end."""

    def function(task: int) -> None:
        os.write(told, b"%d\n" % os.getpid())
        while True:
            signal.pause()

    return function


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_process_is_left_after_an_error() -> None:
    read, write = os.pipe()

    def function(task: int) -> None:
        if task == 0:
            endless(write)(task)
        # The other one is running.
        os.write(write, os.read(read, 100))
        raise SynapseError("No.")

    with pytest.raises(SynapseError, match=r"^No\.$"):
        in_processes(function, [0, 1], processes=TWO)
    pid = int(os.read(read, 100))
    assert not is_running(pid)
    assert multiprocessing.active_children() == []
    os.close(read)
    os.close(write)


def test_no_process_is_left_after_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()

    def interrupted(pipes: list[t.Any]) -> t.NoReturn:
        running.extend(int(os.read(read, 20)) for each in pipes)
        raise KeyboardInterrupt

    running: list[int] = []
    monkeypatch.setattr(multiprocessing.connection, "wait", interrupted)

    def function(task: int) -> None:
        os.write(write, b"%20d" % os.getpid())
        while True:
            signal.pause()

    with pytest.raises(KeyboardInterrupt):
        in_processes(function, [0, 1], processes=TWO)
    assert len(running) == TWO
    assert not any(is_running(pid) for pid in running)
    os.close(read)
    os.close(write)


def test_no_process_is_left_after_this_one_was_killed() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if not parent:
        try:
            in_processes(endless(write), [0, 1], processes=TWO)
        finally:
            os._exit(1)
    os.close(write)
    told = b""
    while told.count(b"\n") < TWO:
        told += os.read(read, 100)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        # The processes hold the other end: it is closed as soon as both of them have ended.
        assert select.select([read], [], [], 30)[0] == [read]
        assert os.read(read, 100) == b""
    finally:
        os.close(read)
        for pid in map(int, told.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_no_descriptor_is_left() -> None:
    before = sorted(os.listdir("/proc/self/fd")) if sys.platform == "linux" else []
    in_processes(lambda task: task, [0, 1, 2], processes=TWO)
    with pytest.raises(SynapseError):
        in_processes(failing_with(SynapseError("No.")), [0, 1], processes=TWO)
    assert (sorted(os.listdir("/proc/self/fd")) if sys.platform == "linux" else []) == before


def test_within_one_of_its_processes() -> None:
    def function(task: int) -> bool:
        return in_processes(lambda inner: os.getpid(), [1, 2], processes=TWO) == [os.getpid()] * 2

    assert in_processes(function, [0, 1], processes=TWO) == [True, True]


def interrupted_and_ended(task: int) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


def test_an_interrupt_of_the_terminal_does_not_print_anything(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SynapseError, match=f"was killed by signal {int(signal.SIGTERM)} "):
        in_processes(interrupted_and_ended, [0, 1], processes=TWO)
    assert "".join(capfd.readouterr()).strip() == ""
