# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.hidden_processes import hiding_option


class Proc:
    """A directory like /proc, as a user with the groups 500 and 501 sees it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        (path / "self").mkdir(parents=True)

    def mounted(self, *options: str) -> str | None:
        """Return the option that hides processes if it was mounted with these options, one mount above the other."""
        place = str(self.path).replace(" ", "\\040")
        lines = [f"proc {place} proc rw,nosuid{each} 0 0\n" for each in options]
        # Bytes that are not text, and the mounts of other directories.
        before, after = b"/dev/sda1 /\xff ext4 rw 0 0\n", b"proc /srv/x/proc proc rw,hidepid=2 0 0\nproc\n\n"
        (self.path / "self" / "mounts").write_bytes(before + "".join(lines).encode() + after)
        return hiding_option(str(self.path))


@pytest.fixture
def proc(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 500)
    monkeypatch.setattr(os, "getgroups", lambda: [500, 501])
    return Proc(tmp_path / "a directory")


@pytest.mark.parametrize("value", ["1", "2", "4", "noaccess", "invisible", "ptraceable"])
def test_hidden_processes(proc: Proc, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proc.mounted(f",hidepid={value}") == f"hidepid={value}"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert proc.mounted(f",hidepid={value}") is None


@pytest.mark.parametrize("options", ["", ",hidepid=0", ",hidepid=off", ",gid=7", ",hidepid", ",xhidepid=2"])
def test_processes_that_are_not_hidden(proc: Proc, options: str) -> None:
    assert proc.mounted(options) is None


@pytest.mark.parametrize("group", ["500", "501"])
def test_the_group_that_may_see_all(proc: Proc, group: str) -> None:
    assert proc.mounted(f",gid={group},hidepid=invisible") is None
    assert proc.mounted(",gid=502,hidepid=invisible") == "hidepid=invisible"
    assert proc.mounted(f",gid={group},hidepid=ptraceable") == "hidepid=ptraceable"


def test_the_group_of_root_may_see_all_by_default(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgroups", lambda: [0])
    assert proc.mounted(",hidepid=2") is None
    assert proc.mounted(",gid=502,hidepid=2") == "hidepid=2"


def test_the_last_mount_counts(proc: Proc) -> None:
    assert proc.mounted("", ",hidepid=2") == "hidepid=2"
    assert proc.mounted(",hidepid=2", "") is None


def test_a_kernel_that_lists_no_mounts(proc: Proc) -> None:
    assert hiding_option(str(proc.path)) is None
    assert proc.mounted() is None
