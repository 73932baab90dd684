# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second process that owns a directory, and puts links and other things under the names that are written there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import mmap
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time
import traceback
import typing as t
from unittest import mock

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import HIDDEN_PREFIX

# Nobody. Where the tests do not run as root, the attacker is the same user and has links alone to attack with.
UID = 65534 if os.geteuid() == 0 else os.geteuid()
SECRET = b"secret: only for its owner\n"
_FOREIGN = b"foreign\n"
# Before one of so many calls that open or change something, the one that is attacked leaves the attacker a whole turn.
_LETS_ATTACK = 8
_CALLS = ("open", "listdir", "mkdir", "rename", "unlink", "rmdir", "chmod", "chown", "fchmod", "fchown")


@dataclasses.dataclass(frozen=True)
class Arena:
    """`owned` is the attacker's directory, `foreign` holds what nobody may touch, `stock` hard links to that."""

    owned: pathlib.Path
    foreign: pathlib.Path
    stock: pathlib.Path
    report: pathlib.Path

    def foreign_state(self) -> dict[str, object]:
        """Return everything in `foreign`, with its owner, mode and content."""
        found: dict[str, object] = {}
        for path in [self.foreign, *sorted(self.foreign.rglob("*"))]:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path)] = (status.st_uid, status.st_gid, status.st_mode, content)
        return found

    def require_target(self) -> None:
        """Fail if what the attacker's links lead to is not as it was. Ask often, for later it may be so again."""
        status = (self.foreign / "target").stat()
        found = (status.st_uid, status.st_gid, status.st_mode & 0o777, status.st_size)
        assert found == (os.geteuid(), os.getegid(), 0o600, len(_FOREIGN))

    def secrets(self) -> list[pathlib.Path]:
        """Return every file below `owned` with the secret in it."""
        paths = (path for path in self.owned.rglob("*") if path.is_file() and not path.is_symlink())
        return [path for path in paths if path.read_bytes() == SECRET]


@contextlib.contextmanager
def open_place() -> t.Iterator[pathlib.Path]:
    """A directory that everybody may enter, for the block: pytest closes its own again whenever it starts anew."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory)


def arena(place: pathlib.Path, links: int = 300) -> Arena:
    """Make the directories below `place`, which everybody may enter then; best an `open_place`, which stays so."""
    for path in (place, *place.parents):
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    made = Arena(place / "owned", place / "foreign", place / "owned" / "stock", place / "report")
    for path in (made.owned, made.foreign, made.stock, made.owned / "parent"):
        path.mkdir()
    (made.foreign / "inside").mkdir()
    (made.foreign / "inside" / "target").write_bytes(_FOREIGN)
    (made.foreign / "target").write_bytes(_FOREIGN)
    (made.foreign / "target").chmod(0o600)
    for number in range(links):
        os.link(made.foreign / "target", made.stock / str(number))
    for path in (made.owned, made.stock, made.owned / "parent"):
        # A link in a directory that everybody may write is led nobody by; root trusts a user, but never everybody.
        path.chmod(0o755 if os.geteuid() == 0 else 0o777)
        os.chown(path, UID, -1)
    return made


@contextlib.contextmanager
def attacking(arena: Arena, names: t.Sequence[str]) -> t.Iterator[None]:
    """Let a second process attack `names` in `arena.owned` and in its directory "parent", and the hidden names there.

    This process waits for it before some of its own calls, so that it finds every moment between two of them, however
    short, soon and on any machine. Afterwards `report` holds how often it attacked each, and which contents it could
    read that were not for it.
    """
    arena.report.touch()
    turns = mmap.mmap(-1, 1)
    if os.geteuid() == 0:
        os.chown(arena.report, UID, UID)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _attack(arena, names, turns)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    try:
        with _waiting_for(turns):
            yield
    finally:
        os.kill(child, signal.SIGTERM)
        _pid, status = os.waitpid(child, 0)
    assert status == 0, "the attacker gave up"


@contextlib.contextmanager
def _waiting_for(turns: mmap.mmap) -> t.Iterator[None]:
    """Let calls of this process that open or change something wait, now and then, for the attacker's next turn."""
    chance = random.Random(2)

    def wait_first(call: t.Callable[..., t.Any], *arguments: t.Any, **named: t.Any) -> t.Any:
        if not chance.randrange(_LETS_ATTACK):
            before = turns[0]
            until = time.monotonic() + 1
            while turns[0] == before and time.monotonic() < until:
                time.sleep(0.0001)
        return call(*arguments, **named)

    with contextlib.ExitStack() as patched:
        for name in _CALLS:
            patched.enter_context(mock.patch.object(os, name, functools.partial(wait_first, getattr(os, name))))
        yield


def require_unharmed(arena: Arena, before: dict[str, object]) -> None:
    """Fail if the attacks, of which there must have been some, led to anything. `before`: the foreign state then."""
    report: dict[str, t.Any] = json.loads(arena.report.read_bytes())
    assert all(times > 20 for times in report["attacks"].values()), report["attacks"]
    assert arena.foreign_state() == before
    assert not [path for path in arena.secrets() if path.stat().st_uid != os.geteuid()]
    assert not [path for path in arena.secrets() if path.stat().st_mode & 0o077]
    # The same user may read whatever it likes.
    assert os.geteuid() != 0 or SECRET.decode() not in report["read"]


def _attack(arena: Arena, names: t.Sequence[str], turns: mmap.mmap) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    chance = random.Random(1)
    attacks = dict.fromkeys(("name", "hidden", "parent"), 0)
    read: set[str] = set()
    opened: list[int] = []
    stock = sorted(os.listdir(arena.stock))
    while not ended:
        parent = arena.owned / "parent"
        for directory in (arena.owned, parent):
            for name in _wait_for_hidden(directory):
                attacks["hidden"] += _swap(directory / name, arena, chance, stock, opened)
            name = chance.choice(names)
            opened.extend(_open(directory / name))
            attacks["name"] += _swap(directory / name, arena, chance, stock, opened)
        with contextlib.suppress(OSError):
            away = arena.owned / "away"
            os.rename(parent, away)
            os.symlink(chance.choice([arena.foreign, arena.foreign / "inside"]), parent)
            attacks["parent"] += 1
            # Whoever waits goes on here too, and has a moment to be led away.
            turns[0] = (turns[0] + 1) % 256
            time.sleep(0.0002)
            os.unlink(parent)
            os.rename(away, parent)
        turns[0] = (turns[0] + 1) % 256
        if len(opened) > 100:
            read |= _contents(opened)
    read |= _contents(opened)
    arena.report.write_bytes(json.dumps({"attacks": attacks, "read": sorted(read)}).encode())


def _wait_for_hidden(directory: pathlib.Path) -> list[str]:
    """The names of what is being written: they are there for a moment only, so it takes many looks."""
    for _look in range(30):
        with contextlib.suppress(OSError):
            hidden = [name for name in os.listdir(directory) if name.startswith(HIDDEN_PREFIX)]
            if hidden:
                return hidden
    return []


def _open(path: pathlib.Path) -> t.Iterator[int]:
    """Whatever can be opened now, for its content may come later."""
    with contextlib.suppress(OSError):
        yield os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def _contents(opened: list[int]) -> set[str]:
    found = set()
    for descriptor in opened:
        with contextlib.suppress(OSError):
            found.add(os.pread(descriptor, 100, 0).decode("latin-1"))
        os.close(descriptor)
    opened.clear()
    return found


def _swap(path: pathlib.Path, arena: Arena, chance: random.Random, stock: list[str], opened: list[int]) -> int:
    """Put something of the attacker's own in the place of `path`; return 1 if that went well."""
    taken = arena.owned / "taken"
    with contextlib.suppress(OSError):
        os.rename(path, taken)
    with contextlib.suppress(OSError):
        kind = chance.choice(["link", "link", "hard link", "directory", "file", "nothing"])
        if kind == "link":
            os.symlink(arena.foreign / "target", path)
        elif kind == "hard link" and stock:
            os.rename(arena.stock / stock.pop(), path)
        elif kind == "directory":
            os.mkdir(path)
            os.rmdir(path)
        elif kind == "file":
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
        opened.extend(_open(taken))
        if taken.is_dir() and not taken.is_symlink():
            shutil.rmtree(taken)
        else:
            os.unlink(taken)
        return 1
    return 0
