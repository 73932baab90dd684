# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run can be killed at any moment: the next one completes it, and files of others never change."""

from __future__ import annotations

import itertools
import os
import pathlib
import random
import signal
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    SYNAPSE,
    Kept,
    Scratch,
    snapshot,
)

# The audit events of Python before a change in the file system.
_CHANGES = {
    "os.chmod",
    "os.chown",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "subprocess.Popen",
}
_RANDOM_ROUNDS = 40

Act = t.Callable[[], object]


def run_in_child(act: Act, *, at: int | None = None, after: float | None = None) -> bool:
    """Run `act` in a separate process, and return whether it ended. Fails if it raised an exception.

    It is killed before the change number `at`, or `after` so many seconds.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if at is not None:
                _kill_before(at)
            act()
            status = 0
        finally:
            os._exit(status)
    if after is not None:
        threading.Event().wait(after)
        os.kill(pid, signal.SIGKILL)
    _ignored, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def _kill_before(number: int) -> None:
    counter = itertools.count()

    def look(event: str, arguments: tuple[t.Any, ...]) -> None:
        changes = event in _CHANGES or (event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR)))
        if changes and next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def execute(scratch: Scratch, **declared: t.Any) -> None:
    resource = scratch.resource(**declared)
    plan = resource.plan()
    plan.execute()
    resource.verify(plan)


# Entries of another user next to the installation.
FOREIGN = [".matrix_ops.synapse.x", f".matrix_ops.synapse.{'0' * 32}", "mine"]


@pytest.fixture
def foreign(scratch: Scratch) -> t.Callable[[], None]:
    """Create files of another user, and return a function that fails if they have changed."""
    for name in FOREIGN:
        place = scratch.root / name
        place.mkdir(0o711)
        (place / "content").write_text("foreign")
        place.chmod(0o711)
    before = [snapshot(scratch.root / name) for name in FOREIGN]

    def look() -> None:
        assert [snapshot(scratch.root / name) for name in FOREIGN] == before
        assert not hidden(scratch.root, FOREIGN)

    return look


def hidden(root: pathlib.Path, known: t.Collection[str]) -> list[pathlib.Path]:
    return [path for path in root.rglob(".matrix_ops.synapse.*") if path.name not in known]


def prepare_nothing(scratch: Scratch) -> None:
    """There is nothing yet."""


def prepare_old(scratch: Scratch) -> None:
    """There is an installation for an older Python, with a package that a user has installed."""
    scratch.let_python_be("3.98")
    execute(scratch, packages=("matrix-synapse==1.162.0", "lxml==5.0"))
    scratch.let_python_be("3.99")


def prepare_other_version(scratch: Scratch) -> None:
    """There is an installation of an older Synapse."""
    execute(scratch, packages=("matrix-synapse==1.162.0",))


def prepare_full(scratch: Scratch) -> None:
    """There is an installation that a server has run from."""
    execute(scratch)
    (scratch.configuration / "homeserver.yaml").touch()
    (scratch.drop_ins / "50-own.yaml").write_text("# matrix_ops.synapse\n")
    (scratch.data / "media_store" / "local").mkdir(parents=True)
    (scratch.data / "media_store" / "local" / "image").touch()


def clear(scratch: Scratch) -> None:
    execute(scratch, present=False, purge=True)
    scratch.let_python_be("3.98")


def keep(scratch: Scratch) -> Kept:
    """Keep a copy of the prepared state. To create it again for each interruption would need most of the time."""
    return Kept(scratch.root, [*FOREIGN, scratch.python.parent.name])


SITUATIONS = [
    pytest.param(prepare_nothing, {}, id="created"),
    pytest.param(prepare_old, {}, id="created again"),
    pytest.param(prepare_other_version, {}, id="installed in place"),
    pytest.param(prepare_full, {"present": False}, id="removed"),
    pytest.param(prepare_full, {"present": False, "purge": True}, id="purged"),
]


@pytest.mark.parametrize(("prepare", "declared"), SITUATIONS)
def test_killed_before_each_change(
    scratch: Scratch,
    foreign: t.Callable[[], None],
    prepare: t.Callable[[Scratch], None],
    declared: dict[str, t.Any],
) -> None:
    prepare(scratch)
    prepared = keep(scratch)
    ends = []
    for number in itertools.count():
        finished = run_in_child(lambda: execute(scratch, **declared), at=number)
        scratch.run(**declared)
        see_that_it_is_right(scratch, prepare, declared)
        foreign()
        ends.append(snapshot(scratch.root))
        if finished:
            break
        prepared.put_back()
    assert number > 5
    # After each interruption, the next run has the same result as a complete run, and it can be removed.
    assert all(end == ends[-1] for end in ends)
    clear(scratch)


def see_that_it_is_right(scratch: Scratch, prepare: t.Callable[[Scratch], None], declared: dict[str, t.Any]) -> None:
    if declared.get("purge"):
        assert not (scratch.root / "etc").exists() and not (scratch.root / "lib").exists()
    if declared.get("present", True):
        version = "3.99" if prepare is prepare_old else "3.98"
        packages = scratch.environment / "lib" / f"python{version}" / "site-packages"
        found = {path.name for path in packages.glob("*.dist-info")}
        kept = {"lxml-5.0.dist-info"} if prepare is prepare_old else set()
        assert found == {"matrix_synapse-1.163.2.dist-info"} | kept
    else:
        assert not (scratch.root / "venvs").exists()


@pytest.mark.parametrize(("prepare", "declared"), [SITUATIONS[1], SITUATIONS[4]])
def test_killed_at_any_moment(
    scratch: Scratch,
    foreign: t.Callable[[], None],
    prepare: t.Callable[[Scratch], None],
    declared: dict[str, t.Any],
) -> None:
    prepare(scratch)
    prepared = keep(scratch)
    start = time.monotonic()
    run_in_child(lambda: execute(scratch, **declared))
    takes = time.monotonic() - start
    end = snapshot(scratch.root)
    chance = random.Random(7)
    for _round in range(_RANDOM_ROUNDS):
        prepared.put_back()
        run_in_child(lambda: execute(scratch, **declared), after=chance.uniform(0, takes))
        # A pip of the killed run may still continue.
        execute(scratch, **declared)
        assert scratch.resource(**declared).plan().steps == ()
        see_that_it_is_right(scratch, prepare, declared)
        foreign()
        assert snapshot(scratch.root) == end
    clear(scratch)


@pytest.mark.parametrize("prepare", [prepare_nothing, prepare_old, prepare_other_version])
def test_killed_while_pip_works_on(
    scratch: Scratch, foreign: t.Callable[[], None], prepare: t.Callable[[Scratch], None]
) -> None:
    prepare(scratch)
    scratch.order("kill")
    assert not run_in_child(lambda: execute(scratch))
    # Its pip still runs: nothing is changed before it ends.
    execute(scratch)
    assert pathlib.Path(f"{scratch.python}.ended").exists()
    see_that_it_is_right(scratch, prepare, {})
    assert scratch.resource().plan().steps == ()
    foreign()


def test_a_killed_run_is_followed_by_the_opposite(scratch: Scratch, foreign: t.Callable[[], None]) -> None:
    prepare_full(scratch)
    full = keep(scratch)
    for number in itertools.count(step=3):
        full.put_back()
        finished = run_in_child(lambda: execute(scratch, present=False, purge=True), at=number)
        scratch.run()
        assert scratch.resource().plan().steps == ()
        foreign()
        clear(scratch)
        finished = run_in_child(lambda: execute(scratch), at=number) and finished
        scratch.run(present=False, purge=True)
        assert not (scratch.root / "etc").exists() and not (scratch.root / "venvs").exists()
        foreign()
        if finished:
            break
    assert number > 10


def test_every_step_is_described(scratch: Scratch) -> None:
    plan, result = scratch.run(packages=(SYNAPSE,))
    assert [step.description.split(" ")[0] for step in plan.steps] == ["create"] * len(plan.steps)
    assert len(plan.steps) == len(result["installation"]["created_paths"])
