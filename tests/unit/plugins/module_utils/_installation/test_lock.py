# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task waits until the environment is stable, if another task still works on it."""

from __future__ import annotations

import fcntl
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import lock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import NEXT, hidden_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.lock import LOCK, wait_for_others
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import hidden_name
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import Scratch

# Locks the environment, works for a moment, and moves it to its path.
_WORKS_ON = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1] + "/.synapse_installation.lock", os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(0.5)
os.rename(sys.argv[1], sys.argv[2])
"""


def test_what_another_task_still_makes_is_seen_when_it_is_made(scratch: Scratch) -> None:
    scratch.run()
    following = scratch.environment.with_name(hidden_name(str(scratch.environment), NEXT))
    scratch.environment.rename(following)
    command = [sys.executable, "-c", _WORKS_ON, str(following), str(scratch.environment)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "locked\n"
        assert scratch.resource().plan().steps == ()
    assert other.returncode == 0


@pytest.mark.parametrize("present", [True, False])
def test_nobody_waits_forever(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    scratch.run()
    monkeypatch.setattr(lock, "_LOCKED_AT_MOST", 0.2)
    descriptor = os.open(scratch.environment / LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = scratch.refusal(present=present)
    finally:
        os.close(descriptor)
    assert f"is working on {scratch.environment}: wait until it ends, and run the task again." in said


@pytest.mark.parametrize("name", [".", LOCK])
def test_others_keep_nobody_waiting(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    scratch.run()
    monkeypatch.setattr(lock, "_LOCKED_AT_MOST", 0.0)
    # A file that others can open can be locked by them.
    (scratch.environment / LOCK).chmod(0o644)
    descriptor = os.open(scratch.environment / name, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert scratch.resource().plan().steps == ()
    finally:
        os.close(descriptor)


def test_what_cannot_be_locked_is_passed_over(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "venv")
    following, before, discarded = hidden_names(path)
    (tmp_path / following).touch()
    (tmp_path / before).symlink_to(tmp_path)
    os.mkfifo(tmp_path / discarded)
    with open_directory(str(tmp_path)) as parent:
        wait_for_others(parent, ("venv", following, before, discarded), path)
