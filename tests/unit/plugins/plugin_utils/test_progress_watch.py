# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gc
import itertools
import os
import signal
import socket
import time
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Measure, Record, Work
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils import _progress_watch
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_watch import Watch, usual_pauses

# In seconds. Only a broken test waits for it.
LONG = 30


def record(done: int) -> Record:
    return Record(Work.MEDIA, 400, Measure(done, None, float(done)), Measure(0, None, 0.0))


class Said:
    """What the child of a watch writes, line by line, for the process of the test."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._file = os.fdopen(self._reading, closefd=True)

    def say(self, line: object) -> None:
        os.write(self._writing, f"{line}\n".encode())

    def next(self) -> str:
        return self._file.readline().strip()

    def rest(self) -> list[str]:
        """All that comes until no process can say more."""
        os.close(self._writing)
        return self._file.read().split()


@pytest.fixture(name="said")
def what_is_said() -> Said:
    return Said()


def show(said: Said) -> t.Callable[[Record], None]:
    return lambda shown: said.say(shown.now.done)


def looks(said: Said, *answers: Record | Exception | None) -> t.Callable[[], Record | None]:
    """Answer one look after the other, say when the last answer is given for the second time, and then wait."""
    left = itertools.chain(answers, [answers[-1]])

    def look() -> Record | None:
        answer = next(left, "end")
        if answer == "end":
            said.say("end")
            time.sleep(LONG)
        if isinstance(answer, Exception):
            raise answer
        assert not isinstance(answer, str)
        return answer

    return look


def at_once() -> t.Iterator[float]:
    return itertools.repeat(0.0)


def nothing() -> None:
    pass


def test_each_new_record_is_shown_once(said: Said) -> None:
    with Watch(nothing, looks(said, None, record(1), record(1), record(2)), show(said), at_once):
        assert [said.next() for _count in range(3)] == ["1", "2", "end"]
    assert said.rest() == []


def test_it_is_prepared_in_its_own_process(said: Said) -> None:
    with Watch(lambda: said.say(os.getpid()), looks(said, None), show(said), at_once):
        assert int(said.next()) not in (0, os.getpid())


def test_a_look_that_hangs_ends_with_the_task(said: Said) -> None:
    def hang() -> Record:
        said.say("looking")
        time.sleep(LONG)
        return record(1)

    start = time.monotonic()
    with Watch(nothing, hang, show(said), at_once) as watch:
        assert said.next() == "looking"
    assert time.monotonic() - start < LONG / 2
    assert watch._child is not None
    with pytest.raises(ProcessLookupError):
        os.kill(watch._child, 0)
    assert said.rest() == []


def test_a_look_removes_its_files_if_the_task_ends(said: Said) -> None:
    def look() -> Record:
        try:
            said.say("looking")
            time.sleep(LONG)
        finally:
            said.say("tidied")
        return record(1)

    start = time.monotonic()
    with Watch(nothing, look, show(said), at_once):
        assert said.next() == "looking"
    assert time.monotonic() - start < LONG / 2
    assert said.rest() == ["tidied"]


def test_a_look_that_cannot_be_ended_in_order_is_killed(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang() -> Record:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        said.say("looking")
        time.sleep(LONG)
        return record(1)

    monkeypatch.setattr(_progress_watch, "_GRACE", 0.1)
    start = time.monotonic()
    with Watch(nothing, hang, show(said), at_once):
        assert said.next() == "looking"
    assert time.monotonic() - start < LONG / 2
    assert said.rest() == []


def test_a_task_that_ends_before_the_first_look_is_not_looked_at(said: Said) -> None:
    with Watch(nothing, looks(said, record(1)), show(said)):
        pass
    assert said.rest() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_the_process_of_the_task_is_killed(said: Said, number: int) -> None:
    task = os.fork()
    if task == 0:
        try:
            with Watch(nothing, looks(said, record(1)), show(said), lambda: iter([0.0, LONG])):
                time.sleep(LONG)
        finally:
            os._exit(0)
    assert said.next() == "1"
    start = time.monotonic()
    os.kill(task, number)
    os.waitpid(task, 0)
    # Until then the child could still say more.
    assert said.rest() == []
    assert time.monotonic() - start < LONG / 2


def test_a_connection_that_fails_is_given_up(said: Said) -> None:
    def fail() -> Record:
        said.say("failed")
        raise OSError("the connection is lost")

    with Watch(nothing, fail, show(said), at_once):
        assert said.rest() == ["failed"] * 3


def test_a_look_that_fails_once_does_not_end_it(said: Said) -> None:
    failure = OSError("for a moment")
    answers = looks(said, failure, failure, record(1), failure, failure, record(2))
    with Watch(nothing, answers, show(said), at_once):
        assert [said.next() for _count in range(3)] == ["1", "2", "end"]


def test_a_display_that_fails_ends_it(said: Said, capfd: t.Any) -> None:
    def broken(_record: Record) -> None:
        said.say("shown")
        raise OSError("Broken pipe")

    with Watch(nothing, lambda: record(1), broken, at_once):
        assert said.rest() == ["shown"]
    assert capfd.readouterr() == ("", "")


def test_what_the_task_raises_gets_out(said: Said) -> None:
    with pytest.raises(KeyboardInterrupt), Watch(nothing, looks(said, None), show(said), at_once):
        raise KeyboardInterrupt


@pytest.mark.parametrize(("module", "function"), [(socket, "socketpair"), (os, "fork")])
def test_a_system_without_processes_runs_the_task(
    said: Said, module: types.ModuleType, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise OSError("Resource temporarily unavailable")

    # What earlier tests have left is closed now, and not in between.
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as changed:
        changed.setattr(module, function, refuse)
        with Watch(nothing, looks(said, record(1)), show(said), at_once):
            ran = True
    assert ran
    assert len(os.listdir("/dev/fd")) == before


def test_the_first_look_is_after_two_seconds_and_the_others_get_rarer() -> None:
    pauses = list(itertools.islice(usual_pauses(), 40))
    assert pauses[0] == 2
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30
