# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.jemalloc import (
    judge_autotuning,
    judge_jemalloc,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

WITHOUT = {"loaded": False}
HIDDEN = {"name": "jemalloc", "reason": "Only root is allowed to see it.", "fix": "Run the task with become."}


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def library(machine: Machine) -> str:
    return machine.write(machine.directory / "lib" / "libjemalloc.so.2", "")


def judge(machine: Machine, *processes: dict[str, t.Any], library: str | None = None) -> Verdict:
    verdict = Verdict()
    judge_jemalloc(
        machine.declared(jemalloc=library is None, jemalloc_library=library), processes, machine.units(), verdict
    )
    return verdict


def loading(library: str) -> dict[str, t.Any]:
    return {"jemalloc": {"loaded": True, "library": library}, "environment": {"LD_PRELOAD": library}}


def test_nothing_is_declared(machine: Machine) -> None:
    verdict = Verdict()
    judge_jemalloc(machine.declared(), [machine.process(jemalloc=WITHOUT)], machine.units(), verdict)
    judge_autotuning(machine.declared(), [machine.process(jemalloc=WITHOUT)], verdict)
    assert (verdict.failures, verdict.proofs, machine.asked) == ([], {}, 0)


def test_the_proof(machine: Machine, library: str) -> None:
    machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    link = machine.directory / "link"
    link.symlink_to(machine.directory / "lib")
    for declared in (None, library, str(link / "libjemalloc.so.2")):
        processes = [machine.process(**loading(library)), machine.process(pid=71, name=None, **loading(library))]
        verdict = judge(machine, *processes, library=declared)
        assert (verdict.failures, verdict.warnings) == ([], [])
        assert verdict.proofs == {"jemalloc": f"Memory: main, worker has loaded {declared or library}."}


def test_a_variable_that_the_unit_removes(machine: Machine, library: str) -> None:
    machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    path = machine.drop_in("zzz-later.conf", "[Service]\nUnsetEnvironment=LD_PRELOAD\n")
    verdict = judge(machine, machine.process(jemalloc=WITHOUT, environment={}), library=library)
    assert verdict.message == (
        f"main (process 70) runs without jemalloc instead of {library}. {path}, line 2, removes LD_PRELOAD"
        f" (UnsetEnvironment): remove that there, and run systemctl daemon-reload, and restart {UNIT} (systemctl cat"
        f" {UNIT} shows all files of the unit)."
    )
    assert verdict.failures[0]["declared"] == "jemalloc_library"
    assert (verdict.proofs, verdict.warnings) == ({}, [])


def test_a_file_of_variables_that_sets_another_library(machine: Machine, library: str) -> None:
    variables = machine.write(machine.directory / "default", "A=1\nLD_PRELOAD=/opt/libtcmalloc.so\n")
    machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\nEnvironmentFile=-{variables}\n")
    verdict = judge(machine, machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": "/opt/libtcmalloc.so"}))
    reason = "sets LD_PRELOAD to '/opt/libtcmalloc.so' (/opt/libtcmalloc.so, which does not exist): remove that there"
    assert f"{variables}, line 2, {reason}" in verdict.message


def test_a_different_jemalloc(machine: Machine, library: str) -> None:
    path = machine.drop_in("a.conf", "[Service]\nEnvironment=LD_PRELOAD=/opt/libjemalloc.so.1\n")
    verdict = judge(machine, machine.process(**loading("/opt/libjemalloc.so.1")), library=library)
    assert f"runs with /opt/libjemalloc.so.1 instead of {library}. {path}, line 2, sets" in verdict.message
    assert judge(machine, machine.process(**loading("/opt/libjemalloc.so.1"))).failures == []


def test_no_file_sets_it(machine: Machine) -> None:
    assert f"No file of {UNIT} sets LD_PRELOAD" in judge(machine, machine.process(jemalloc=WITHOUT)).message


def test_a_process_that_was_not_restarted(machine: Machine, library: str) -> None:
    path = machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    process = machine.process(jemalloc=WITHOUT, environment={})
    reason = f"It was started without LD_PRELOAD, although {path}, line 2, sets it: it was not restarted since."
    assert reason in judge(machine, process, library=library).message
    machine.shown["NeedDaemonReload"] = "yes"
    assert "but systemd has not read all files of the unit: run" in judge(machine, process, library=library).message


def elf(machine: int) -> bytes:
    """Return the beginning of a program or library for a machine, as in elf(5)."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine.to_bytes(2, "little") + bytes(40)


X86, ARM = 62, 183
OTHER = "which is a library for aarch64 (64 bits), but Synapse runs on x86_64 (64 bits): correct the path"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "which does not exist: install it or correct the path"),
        (b"text", "which is not a library: correct the path"),
        (elf(ARM), OTHER),
    ],
)
def test_a_library_that_the_loader_ignores(machine: Machine, library: str, content: bytes | None, reason: str) -> None:
    (machine.proc / "70").mkdir()
    (machine.proc / "70" / "exe").write_bytes(elf(X86))
    wanted = machine.directory / "lib" / "aarch64-linux-gnu" / "libjemalloc.so.2"
    wanted.parent.mkdir()
    if content is not None:
        wanted.write_bytes(content)
    variables = machine.write(machine.directory / "matrix-synapse", f"A=1\nLD_PRELOAD={wanted}\n")
    machine.drop_in("a.conf", f"[Service]\nEnvironmentFile=-{variables}\n")
    process = machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": str(wanted)})
    expected = f"{variables}, line 2, sets its LD_PRELOAD to {wanted}, {reason}, and restart {UNIT}."
    assert judge(machine, process).message.endswith(expected)
    # Another one is declared, so this line must be removed, and the reason is the same.
    message = judge(machine, process, library=library).message
    assert (
        f"{variables}, line 2, sets LD_PRELOAD to '{wanted}' ({wanted}, {reason.partition(':')[0]}): remove" in message
    )
    alone = machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": f"/other.so:{wanted}"}, unit=None)
    assert f"Its LD_PRELOAD is {wanted}, {reason}" in judge(machine, alone).message


@pytest.mark.parametrize("is_program_known", [True, False])
def test_a_library_that_the_loader_could_load(machine: Machine, library: str, is_program_known: bool) -> None:
    pathlib.Path(library).write_bytes(elf(X86))
    if is_program_known:
        (machine.proc / "70").mkdir()
        (machine.proc / "70" / "exe").write_bytes(elf(X86))
    process = machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": library})
    machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    assert "was not loaded when it was started: it did not exist then" in judge(machine, process).message
    bare = machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": "libjemalloc.so.2"}, unit=None)
    assert "Its LD_PRELOAD is 'libjemalloc.so.2', but" in judge(machine, bare).message


def test_a_value_that_the_files_no_longer_set(machine: Machine, library: str) -> None:
    path = machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    process = machine.process(jemalloc=WITHOUT, environment={"LD_PRELOAD": "/gone/libjemalloc.so"})
    message = judge(machine, process).message
    assert "Its LD_PRELOAD is /gone/libjemalloc.so, which does not exist" in message
    assert path not in message


def test_a_missing_file_of_variables_is_a_warning(machine: Machine, library: str) -> None:
    path = machine.drop_in("a.conf", f"[Service]\nEnvironmentFile=/gone\nEnvironment=LD_PRELOAD={library}\n")
    verdict = judge(machine, machine.process(**loading(library)))
    assert verdict.failures == []
    assert verdict.warnings == [
        f"{UNIT} does not start again, because /gone does not exist. {path}, line 2, sets EnvironmentFile=/gone: create"
        " that file, or write a hyphen before its path."
    ]


def test_a_process_without_a_unit(machine: Machine, library: str) -> None:
    verdict = judge(machine, machine.process(jemalloc=WITHOUT, environment={}, unit=None), library=library)
    assert f"Set LD_PRELOAD to {library} where it is started" in verdict.message
    assert machine.asked == 0


def test_what_cannot_be_read_is_a_failure(machine: Machine, library: str) -> None:
    verdict = judge(machine, machine.process(unknown=[HIDDEN]))
    assert verdict.message == (
        "Whether main (process 70) has loaded jemalloc is unknown. Only root is allowed to see it. Run the task with"
        " become."
    )
    verdict = Verdict()
    judge_autotuning(machine.declared(cache_autotuning=True), [machine.process(unknown=[HIDDEN])], verdict)
    assert "Only root is allowed to see it" in verdict.message
    machine.fails = "systemctl cannot be run."
    verdict = judge(machine, machine.process(jemalloc=WITHOUT), machine.process(**loading(library)))
    assert len(verdict.failures) == 1
    assert verdict.message.endswith(machine.fails)


def test_a_warning_of_the_next_start(machine: Machine, library: str) -> None:
    machine.drop_in("a.conf", f"[Service]\nEnvironment=LD_PRELOAD={library}\n")
    path = machine.drop_in("b.conf", "[Service]\nEnvironment=LD_PRELOAD=\n", loaded=False)
    verdict = judge(machine, machine.process(**loading(library)), library=library)
    assert verdict.failures == []
    [warning] = verdict.warnings
    assert warning.startswith(f"After its next start, {UNIT} runs without {library}. {path}, line 2, sets LD_PRELOAD")


def test_no_warning_if_a_script_may_set_the_variable(machine: Machine, library: str) -> None:
    assert judge(machine, machine.process(**loading(library))).warnings == []
    machine.drop_in("a.conf", "[Service]\nExecStart=\nExecStart=/opt/bin/python -m synapse.app.homeserver\n")
    [warning] = judge(machine, machine.process(**loading(library))).warnings
    assert f"No file of {UNIT} sets LD_PRELOAD" in warning


def test_a_file_that_this_user_cannot_read(machine: Machine, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = machine.write(machine.directory / "default", "LD_PRELOAD=/other.so\n")
    machine.drop_in("a.conf", f"[Service]\nEnvironmentFile={path}\n")
    assert len(judge(machine, machine.process(**loading(library))).warnings) == 1
    monkeypatch.setattr(os, "access", lambda place, mode: place != path)
    assert judge(machine, machine.process(**loading(library))).warnings == []
    assert f"{path} of {UNIT} cannot be read by this user" in judge(machine, machine.process(jemalloc=WITHOUT)).message


def test_a_bare_name_is_searched_for_by_the_loader(machine: Machine, library: str) -> None:
    machine.drop_in("a.conf", "[Service]\nEnvironment=LD_PRELOAD=libjemalloc.so.2\n")
    assert judge(machine, machine.process(**loading(library)), library=library).warnings == []
    assert judge(machine, machine.process(**loading(library))).warnings == []


def test_autotuning_needs_jemalloc(machine: Machine) -> None:
    verdict = Verdict()
    declared = machine.declared(cache_autotuning=True, option_names={"cache_autotuning": "my_autotuning"})
    judge_autotuning(
        declared, [machine.process(jemalloc=WITHOUT), machine.process(**loading("/libjemalloc.so"))], verdict
    )
    assert verdict.message == (
        "main (process 70) runs without jemalloc, so Synapse ignores my_autotuning. Apply the role"
        " matrix_ops.synapse.synapse_jemalloc too, or remove my_autotuning."
    )


def test_a_warning_of_another_unit_with_the_same_file(machine: Machine, library: str) -> None:
    machine.write(machine.etc / "service.d" / "10.conf", "[Service]\nEnvironment=LD_PRELOAD=/other.so\n")
    processes = (
        machine.process(jemalloc=WITHOUT),
        machine.process(pid=71, unit="other.service", **loading(library)),
    )
    verdict = judge(machine, *processes)
    assert [failure["pid"] for failure in verdict.failures] == [70]
    [warning] = verdict.warnings
    assert warning.startswith("After its next start, other.service runs without jemalloc.")
