# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import subprocess
import sys
import tempfile
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check import identity, writing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.identity import Identity, identity_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.writing import judge_writing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
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
    machine: Machine,
    *processes: dict[str, t.Any],
    run: writing.RunScript = run_command,
    host: Host | None = None,
    **declared: t.Any,
) -> Verdict:
    verdict = Verdict()
    judge_writing(machine.declared(**declared), processes, run, 10, verdict, host or Host())
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

    def run(arguments: t.Sequence[str], timeout: float, given: str | None = None, **options: t.Any) -> Completed:
        running.kill()
        running.wait()
        return Completed(1, "", "nsenter: cannot open /proc/1/ns/mnt: No such file or directory\n")

    verdict = judge(machine, machine.process(pid=running.pid), run=run, writable_paths=("/a",))
    assert "ended while it was checked" in verdict.message


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (Completed(1, "", "x\nthe user of Synapse cannot be taken.\n"), "the user of Synapse cannot be taken."),
        (Completed(0, "", ""), "it ended with status 0."),
        (Completed(0, "[]", ""), "it ended with status 0."),
        (Completed(-9, "{}", ""), "it ended with status -9."),
    ],
)
def test_a_script_that_does_not_run(machine: Machine, done: Completed, reason: str) -> None:
    def run(arguments: t.Sequence[str], timeout: float, given: str | None = None, **options: t.Any) -> Completed:
        assert given == writing.SCRIPT
        assert list(arguments[:4]) == [sys.executable, "-I", "-S", "-"]
        assert arguments[-1] == "/a"
        return done

    verdict = judge(machine, own(machine), run=run, writable_paths=("/a",))
    assert verdict.message.startswith(f"Whether main (process {os.getpid()}) can write to /a is unknown. ")
    assert verdict.message.endswith(reason)


OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))


def process_of(machine: Machine, status: str, namespace: str = "mnt:[1]", unit: str = UNIT) -> None:
    for name, space in (("70", namespace), ("self", "mnt:[1]")):
        (machine.proc / name / "ns").mkdir(parents=True)
        (machine.proc / name / "ns" / "mnt").symlink_to(machine.write(machine.directory / space, ""))
    (machine.proc / "70" / "status").write_text(status)
    (machine.proc / "70" / "cgroup").write_text(f"0::/system.slice/{unit}\n")


def status_of(uid: int, groups: str = "") -> str:
    return f"Uid:\t0\t{uid}\t0\t0\nGid:\t0\t6\t0\t0\nFDSize:\t64\nGroups:\t{groups} \nNStgid:\t1\n"


def taken(machine: Machine, **declared: t.Any) -> Identity | None:
    with identity_of(70, machine.declared(**declared), machine.host) as found:
        return found


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, as_root: None) -> None:
    """Each mount namespace is owned by the user namespace of this process."""
    monkeypatch.setattr(identity, "_is_of_this_host", lambda *_: True)


@pytest.mark.usefixtures("as_root")
def test_root_becomes_the_user_of_the_process_with_all_of_its_groups(machine: Machine) -> None:
    process_of(machine, status_of(4242424, "29 1001"))
    assert taken(machine) == Identity(4242424, 6, (29, 1001))


@pytest.mark.usefixtures("as_root")
def test_a_process_without_other_groups(machine: Machine) -> None:
    process_of(machine, status_of(12))
    assert taken(machine) == Identity(12, 6, ())


@pytest.mark.usefixtures("as_root")
def test_root_stays_root(machine: Machine) -> None:
    process_of(machine, status_of(0))
    assert taken(machine) is None


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("declared", [{}, {"user": OTHER.pw_name}])
def test_the_namespace_of_the_unit_is_entered(machine: Machine, declared: dict[str, str]) -> None:
    process_of(machine, status_of(OTHER.pw_uid), "mnt:[2]")
    with identity_of(70, machine.declared(**declared), machine.host) as found:
        assert found is not None
        assert found.namespace is not None
        assert os.path.samestat(os.fstat(found.namespace), os.stat(machine.directory / "mnt:[2]"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(found.namespace)


@pytest.mark.usefixtures("as_root")
def test_a_namespace_that_another_user_has_made_is_not_entered(machine: Machine) -> None:
    # A file has no owning user namespace.
    process_of(machine, status_of(OTHER.pw_uid), "mnt:[2]")
    with pytest.raises(SynapseError, match=r"can be those of any user, so root does not enter it\."):
        taken(machine, user=OTHER.pw_name)


@pytest.mark.usefixtures("trusted")
def test_the_namespace_of_another_user_is_not_entered(machine: Machine) -> None:
    process_of(machine, status_of(OTHER.pw_uid), "mnt:[2]")
    with pytest.raises(SynapseError, match=rf"^It runs as {OTHER.pw_name}, not as somebody, so root does not enter"):
        taken(machine, user="somebody")


@pytest.mark.usefixtures("trusted")
def test_the_namespace_of_another_unit_is_not_entered(machine: Machine) -> None:
    process_of(machine, status_of(12), "mnt:[2]", "other.service")
    with pytest.raises(SynapseError, match=rf"^It runs in other\.service, not in {UNIT}, so root does not enter"):
        taken(machine)
    assert taken(machine, unit="") is not None
    (machine.proc / "70" / "cgroup").write_text("0::/user.slice/session-1.scope\n")
    with pytest.raises(SynapseError, match=rf"^It runs in no unit, not in {UNIT}, so root does not enter"):
        taken(machine)
    # Without systemd, no process is in a unit.
    host = machine.host._replace(systemd=machine.host.systemd._replace(running=str(machine.directory / "gone")))
    with identity_of(70, machine.declared(), host) as found:
        assert found is not None


def test_another_user_is_not_allowed_to_try(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process_of(machine, status_of(12))
    monkeypatch.setattr(os, "geteuid", lambda: 11)
    with pytest.raises(SynapseError, match=r"with become, as root\.$"):
        taken(machine)
    monkeypatch.setattr(os, "geteuid", lambda: 12)
    assert taken(machine) is None


CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
REFUSED = b"refused\n"
# Creates namespaces, and a tmpfs at a directory that only this process sees.
APART = """
import ctypes, os, sys
user, flags, directory, groups = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [29]
library = ctypes.CDLL(None, use_errno=True)
if flags & 0x10000000:
    os.setgroups(groups)
    os.setgid(user)
    os.setuid(user)
def call(result):
    if result:
        print("refused", flush=True)
        sys.exit(os.strerror(ctypes.get_errno()))
call(library.unshare(flags))
if not flags & 0x10000000:
    call(library.mount(b"none", b"/", None, 0x44000, None))
    call(library.mount(b"none", os.fsencode(directory), b"tmpfs", 0, b"mode=770,gid=29"))
    os.setgroups(groups)
    os.setgid(user)
    os.setuid(user)
print("runs", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def apart(flags: int, directory: str) -> t.Iterator[int]:
    """Start a process with these new namespaces, and give its id."""
    command = [sys.executable, "-I", "-c", APART, str(OTHER.pw_uid), str(flags), directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line == REFUSED:
            pytest.skip("the system does not allow these namespaces")
        assert line == b"runs\n"
        yield process.pid


@pytest.fixture
def place() -> t.Iterator[str]:
    """A directory of root that other users can reach, but not write to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield directory


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter mount namespaces")
class TestRealProcesses:
    def judge(self, machine: Machine, pid: int, place: str) -> Verdict:
        host = Host(systemd=machine.host.systemd._replace(running="/nonexistent"))
        main = machine.process(pid=pid, user=OTHER.pw_name, unit=None)
        return judge(machine, main, host=host, writable_paths=(place,), user=OTHER.pw_name)

    def test_in_its_mount_namespace_with_its_groups(self, machine: Machine, place: str) -> None:
        with apart(CLONE_NEWNS, place) as pid:
            assert self.judge(machine, pid, place).failures == []
        assert os.listdir(place) == []

    def test_in_the_mount_namespace_of_another_user(self, machine: Machine, place: str) -> None:
        with apart(CLONE_NEWNS | CLONE_NEWUSER, place) as pid:
            message = self.judge(machine, pid, place).message
        assert message == (
            f"Whether main (process {pid}) can write to {place} is unknown. It runs in a mount namespace of another"
            " user namespace, whose files can be those of any user, so root does not enter it. Start Synapse without"
            " one."
        )

    def test_without_a_namespace(self, machine: Machine, place: str) -> None:
        with subprocess.Popen(["sleep", "60"], user=OTHER.pw_uid, group=OTHER.pw_gid) as process:
            verdict = self.judge(machine, process.pid, place)
            process.kill()
        assert f"Synapse cannot write to {place} (Permission denied)" in verdict.message
