# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A limit of open files is raised only where it is lower without what the role has written itself."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import sys
import typing as t

import pytest

_SCRIPT = pathlib.Path(__file__).parents[4] / "roles" / "synapse_file_limits" / "files" / "read_limits.py"
OURS = "zz-matrix_ops-file_limits.conf"
UNIT = "matrix-synapse.service"
FRAGMENT = f"/lib/systemd/system/{UNIT}"
LIMITS_FILE = "/etc/security/limits.d/zz-matrix_ops-matrix-synapse.conf"


class Host:
    """What systemd shows and which files there are; `answer` is what the script prints of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        specification = importlib.util.spec_from_file_location("read_limits", _SCRIPT)
        assert specification and specification.loader
        self.script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.script)
        self.files = {"/proc/1/limits": "Limit  Soft  Hard\nMax open files            1024      524288     files\n"}
        self.shown: dict[str, dict[str, str]] = {"": {"DefaultLimitNOFILE": "524288"}}
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(self.script, "properties", self._properties)
        monkeypatch.setattr(self.script, "read", lambda path: self.files.get(path, ""))
        monkeypatch.setattr(self.script.glob, "glob", lambda pattern: [p for p in self.files if "limits.d/" in p])

    def _properties(self, *arguments: str) -> dict[str, str]:
        units = [argument for argument in arguments if not argument.startswith("--")]
        return self.shown[units[0] if units else ""]

    def unit(self, limit: str, *drop_ins: str, fragment: str = "[Service]\n") -> None:
        self.files[FRAGMENT] = fragment
        self.shown[UNIT] = {"LimitNOFILE": limit, "FragmentPath": FRAGMENT, "DropInPaths": " ".join(drop_ins)}

    def answer(self, minimum: int = 16384, user: str = "nobody-of-this-name") -> dict[str, t.Any]:
        arguments = ["read_limits.py", str(minimum), OURS, LIMITS_FILE, user, UNIT, UNIT]
        self._monkeypatch.setattr(sys, "argv", arguments)
        self.script.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("limit", "raised"), [("1024", True), ("16383", True), ("16384", False), ("65536", False), ("infinity", False)]
)
def test_a_lower_limit_is_raised_and_no_other(host: Host, limit: str, raised: bool) -> None:
    host.unit(limit)
    answer = host.answer()
    assert (answer["raise"], answer["keep"]) == (([UNIT], []) if raised else ([], [UNIT]))


@pytest.mark.parametrize(
    ("others", "raised"),
    [
        ("", False),
        ("LimitNOFILE=1024\n", True),
        ("LimitNOFILE=1024:20000\n", False),
        ("LimitNOFILE=1024\nLimitNOFILE = 65536\n", False),
        ("LimitNOFILE=65536\nLimitNOFILE=2048\n", True),
        ("LimitNOFILE=infinity\n", False),
        ("#LimitNOFILE=1024\n", False),
    ],
)
def test_our_own_drop_in_does_not_count(host: Host, others: str, raised: bool) -> None:
    host.files["/etc/systemd/system/x.d/override.conf"] = f"[Service]\n{others}"
    host.files[f"/etc/systemd/system/x.d/{OURS}"] = "[Service]\nLimitNOFILE=16384\n"
    host.unit("16384", "/etc/systemd/system/x.d/override.conf", f"/etc/systemd/system/x.d/{OURS}")
    assert (host.answer()["raise"] == [UNIT]) is raised


def test_a_drop_in_that_is_read_after_ours_counts(host: Host) -> None:
    host.files["/etc/systemd/system/x.d/zzz.conf"] = "[Service]\nLimitNOFILE=2048\n"
    host.unit("2048", f"/etc/systemd/system/x.d/{OURS}", "/etc/systemd/system/x.d/zzz.conf")
    assert host.answer()["raise"] == [UNIT]


@pytest.mark.parametrize(
    ("lines", "soft", "hard"),
    [
        # A session can get what the first process has.
        ("", 16384, 524288),
        ("synapse - nofile 1024", 16384, 524288),
        ("synapse soft nofile 20000", 20000, 524288),
        ("synapse hard nofile 1000000", 16384, 1000000),
        ("synapse - nofile 65536", None, None),
        ("* - nofile 65536", None, None),
        ("synapse - nofile unlimited", None, None),
        # The line for the user counts more than the one for everybody, wherever it stands.
        ("synapse - nofile 1024\n* - nofile 65536", 16384, 524288),
        ("* - nofile 65536\nsynapse - nofile 1024", 16384, 524288),
        ("other - nofile 65536", 16384, 524288),
        ("synapse - nproc 65536", 16384, 524288),
        ("# synapse - nofile 65536", 16384, 524288),
        ("synapse - nofile", 16384, 524288),
    ],
)
def test_a_session_never_gets_less_than_by_the_files_of_others(
    host: Host, lines: str, soft: int | None, hard: int | None
) -> None:
    host.unit("65536")
    host.files["/etc/security/limits.d/others.conf"] = lines
    host.files[LIMITS_FILE] = "synapse - nofile 99999"
    answer = host.answer(user="synapse")
    assert (answer["soft"], answer["hard"]) == (soft, hard)


def test_no_limit_at_all_can_be_written(host: Host) -> None:
    host.unit("65536")
    host.files["/proc/1/limits"] = "Max open files            1024      unlimited     files\n"
    answer = host.answer()
    assert (answer["soft"], answer["hard"], answer["ceiling"]) == (16384, "unlimited", "unlimited")
