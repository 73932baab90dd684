# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
import pathlib
import pwd
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check import writing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.writing import entering, judge_writing
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    machine = Machine(tmp_path)
    machine.configure({"media_store_path": str(tmp_path / "media"), "database": {"name": "psycopg2"}})
    return machine


def judge(
    machine: Machine, *processes: dict[str, t.Any], run: writing.RunScript = run_command, **declared: t.Any
) -> Verdict:
    verdict = Verdict()
    judge_writing(machine.declared(synapse_python=sys.executable, **declared), processes, run, 10, verdict)
    return verdict


def own(machine: Machine, **values: t.Any) -> dict[str, t.Any]:
    return machine.process(pid=os.getpid(), user=ME, **values)


def test_nothing_is_declared(machine: Machine) -> None:
    assert judge(machine).failures == []


def test_directories_that_can_be_written_to(machine: Machine) -> None:
    (machine.directory / "media").mkdir()
    odd = machine.directory / "odd \udcff\n'name"
    odd.mkdir()
    paths = (str(machine.directory), str(odd), str(machine.directory / "media"))
    before = sorted(os.listdir(machine.directory))
    assert judge(machine, own(machine), writable_paths=paths, configured_paths=True).failures == []
    assert sorted(os.listdir(machine.directory)) == before
    assert os.listdir(odd) == []


def test_directories_that_cannot_be_written_to(machine: Machine) -> None:
    paths = (str(machine.directory / "gone"), str(machine.configuration))
    verdict = judge(machine, own(machine), writable_paths=paths)
    assert verdict.message == (
        f"Synapse cannot write in the unit {UNIT} to {paths[0]} (No such file or directory), {paths[1]} (Not a"
        f" directory). Create the directory for {ME}, and run this again."
    )
    assert (verdict.failures[0]["declared"], verdict.failures[0]["pid"]) == ("writable_paths", os.getpid())


def test_a_directory_of_the_configuration(machine: Machine) -> None:
    media = machine.directory / "media"
    verdict = judge(machine, own(machine, unit=None), configured_paths=True)
    assert verdict.message == (
        f"Synapse cannot write to {media} (No such file or directory), which its configuration sets (media_store_path)."
        " Create the directory for this user, and run this again."
    )
    assert verdict.failures[0]["declared"] == "configured_paths"


def test_a_relative_directory(machine: Machine) -> None:
    machine.configure({"media_store_path": "media", "database": {"name": "psycopg2"}})
    verdict = judge(machine, own(machine), configured_paths=True)
    assert "The path media (media_store_path) is relative" in verdict.message
    (machine.directory / "media").mkdir()
    directory = str(machine.directory)
    assert judge(machine, own(machine), configured_paths=True, working_directory=directory).failures == []


def test_only_workers_run(machine: Machine) -> None:
    worker = own(machine, app="synapse.app.generic_worker")
    assert judge(machine, worker, writable_paths=("/a",)).message.startswith("No main process runs, so whether it can")


def test_a_process_that_ends(machine: Machine) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    verdict = judge(machine, machine.process(pid=ended.pid), writable_paths=("/a",))
    assert verdict.message == f"main (process {ended.pid}) ended while it was checked. Run this again."
    running = subprocess.Popen(["sleep", "60"])

    def run(arguments: t.Sequence[str], timeout: float, given: str | None = None) -> Completed:
        running.kill()
        running.wait()
        return Completed(1, "", "nsenter: cannot open /proc/1/ns/mnt: No such file or directory\n")

    verdict = judge(machine, machine.process(pid=running.pid), run=run, writable_paths=("/a",))
    assert "ended while it was checked" in verdict.message


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (Completed(1, "", "x\nrunuser: user has no shell.\n"), "runuser: user has no shell."),
        (Completed(0, "", ""), "it ended with status 0."),
        (Completed(0, "[]", ""), "it ended with status 0."),
        (Completed(-9, "{}", ""), "it ended with status -9."),
    ],
)
def test_a_script_that_does_not_run(machine: Machine, done: Completed, reason: str) -> None:
    def run(arguments: t.Sequence[str], timeout: float, given: str | None = None) -> Completed:
        assert given == writing.SCRIPT
        assert list(arguments[-3:]) == [sys.executable, "-", "/a"]
        return done

    verdict = judge(machine, own(machine), run=run, writable_paths=("/a",))
    assert verdict.message.startswith(f"Whether main (process {os.getpid()}) can write to /a is unknown. ")
    assert verdict.message.endswith(reason)


def process_of(machine: Machine, uid: int, gid: int, namespace: str) -> None:
    for name, space in (("70", namespace), ("self", "mnt:[1]")):
        (machine.proc / name / "ns").mkdir(parents=True)
        (machine.proc / name / "ns" / "mnt").symlink_to(space)
    (machine.proc / "70" / "status").write_text(f"Uid:\t0\t{uid}\t0\t0\nGid:\t0\t{gid}\t0\t0\n")


@pytest.mark.parametrize("namespace", ["mnt:[1]", "mnt:[2]"])
def test_root_becomes_the_user_of_the_process(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, namespace: str
) -> None:
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))
    process_of(machine, user.pw_uid, user.pw_gid, namespace)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    group = grp.getgrgid(user.pw_gid).gr_name
    name = pwd.getpwuid(user.pw_uid).pw_name
    enter = [] if namespace == "mnt:[1]" else ["nsenter", "--target=70", "--mount", "--"]
    expected = [*enter, "/usr/sbin/runuser", "--user", name, "--group", group, "--"]
    assert entering(70, str(machine.proc)) == expected


def test_root_stays_root(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process_of(machine, 0, 0, "mnt:[2]")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert entering(70, str(machine.proc)) == ["nsenter", "--target=70", "--mount", "--"]


def test_a_user_without_a_name(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process_of(machine, 4242424, 0, "mnt:[1]")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SynapseError, match=r"^The user 4242424 of process 70 has no name"):
        entering(70, str(machine.proc))


def test_another_user_is_not_allowed_to_try(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process_of(machine, 12, 0, "mnt:[1]")
    monkeypatch.setattr(os, "geteuid", lambda: 11)
    with pytest.raises(SynapseError, match=r"with become, as root\.$"):
        entering(70, str(machine.proc))
    monkeypatch.setattr(os, "geteuid", lambda: 12)
    assert entering(70, str(machine.proc)) == []
