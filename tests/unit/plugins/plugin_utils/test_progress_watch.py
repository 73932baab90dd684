# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Measure, Record, Work
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils import _progress_watch
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_watch import Watch, usual_pauses

# In seconds. Only a broken test waits for it.
LONG = 30


def record(done: int) -> Record:
    return Record(Work.MEDIA, 400, Measure(done, None, float(done)), Measure(0, None, 0.0))


class Looks:
    """Answers one look after the other, the last one again and again, and knows when each was asked for."""

    def __init__(self, *answers: Record | Exception | None) -> None:
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self._done_after = len(answers)
        self.count = 0
        self.done = threading.Event()

    def __call__(self) -> Record | None:
        self.count += 1
        if self.count > self._done_after:
            self.done.set()
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer


def at_once() -> t.Iterator[float]:
    return itertools.repeat(0.0)


def test_each_new_record_is_shown_once() -> None:
    shown: list[Record] = []
    looks = Looks(None, record(1), record(1), record(2))
    with Watch(looks, shown.append, at_once):
        assert looks.done.wait(LONG)
    assert shown == [record(1), record(2)]


def test_the_thread_has_ended_when_the_task_ends() -> None:
    looks = Looks(record(1))
    with Watch(looks, lambda _record: None, at_once) as watch:
        assert looks.done.wait(LONG)
    assert not watch._thread.is_alive()


def test_a_task_that_ends_before_the_first_look_is_not_looked_at() -> None:
    looks = Looks(record(1))
    with Watch(looks, lambda _record: None):
        pass
    assert looks.count == 0


def test_a_look_that_hangs_keeps_nobody_waiting_and_shows_nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress_watch, "_PATIENCE", 0.01)
    shown: list[Record] = []
    looking, answer = threading.Event(), threading.Event()

    def hang() -> Record:
        looking.set()
        assert answer.wait(LONG)
        return record(1)

    with Watch(hang, shown.append, at_once) as watch:
        assert looking.wait(LONG)
    assert watch._thread.is_alive()
    answer.set()
    watch._thread.join(LONG)
    assert not watch._thread.is_alive()
    assert shown == []


def test_a_connection_that_fails_is_given_up() -> None:
    looks = Looks(OSError("the connection is lost"))
    with Watch(looks, lambda _record: None, at_once) as watch:
        watch._thread.join(LONG)
        assert not watch._thread.is_alive()
    assert looks.count == 3


def test_a_look_that_fails_once_does_not_end_it() -> None:
    shown: list[Record] = []
    failure = OSError("for a moment")
    looks = Looks(failure, failure, record(1), failure, failure, record(2))
    with Watch(looks, shown.append, at_once):
        assert looks.done.wait(LONG)
    assert shown == [record(1), record(2)]


def test_a_display_that_fails_ends_it_without_a_traceback() -> None:
    def broken(_record: Record) -> None:
        raise OSError("Broken pipe")

    with Watch(Looks(record(1)), broken, at_once) as watch:
        watch._thread.join(LONG)
        assert not watch._thread.is_alive()


def test_what_the_task_raises_gets_out() -> None:
    with pytest.raises(KeyboardInterrupt), Watch(Looks(None), lambda _record: None, at_once):
        raise KeyboardInterrupt


def test_a_system_without_threads_runs_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ran = False
    with Watch(Looks(None), lambda _record: None, at_once):
        ran = True
    assert ran


def test_the_first_look_is_after_two_seconds_and_the_others_get_rarer() -> None:
    pauses = list(itertools.islice(usual_pauses(), 40))
    assert pauses[0] == 2
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30
