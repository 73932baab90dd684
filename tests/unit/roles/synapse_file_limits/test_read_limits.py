# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A limit of open files is raised only where it is lower without what the role has written itself."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import pathlib
import subprocess
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
        monkeypatch.setattr(self.script.glob, "glob", self._glob)

    def _glob(self, pattern: str) -> list[str]:
        paths = {*self.files, *(path.rpartition("/")[0] for path in self.files)}
        return [path for path in paths if fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/")]

    def _properties(self, *arguments: str) -> dict[str, str]:
        units = [argument for argument in arguments if not argument.startswith("--")]
        return self.shown.get(units[0] if units else "", {})

    def unit(self, *drop_ins: str, limit: str = "") -> None:
        """Let the unit set this limit itself, and let systemd have read these drop-ins."""
        self.files[FRAGMENT] = f"[Service]\nLimitNOFILE={limit}\n" if limit else "[Service]\n"
        self.shown[UNIT] = {"FragmentPath": FRAGMENT, "DropInPaths": " ".join(drop_ins)}

    def answer(self, minimum: int = 16384, user: str = "nobody-of-this-name", unit: str = UNIT) -> dict[str, t.Any]:
        example = unit.replace("@.service", "@matrix_ops.service")
        arguments = ["read_limits.py", str(minimum), OURS, LIMITS_FILE, user, unit, example]
        self._monkeypatch.setattr(sys, "argv", arguments)
        self.script.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("limit", "raised"), [("1024", True), ("16383", True), ("16384", False), ("65536", False), ("infinity", False)]
)
@pytest.mark.parametrize("default", [True, False])
def test_a_lower_limit_is_raised_and_no_other(host: Host, limit: str, raised: bool, default: bool) -> None:
    host.unit(limit="" if default else limit)
    host.shown[""] = {"DefaultLimitNOFILE": limit if default else "524288"}
    answer = host.answer()
    assert (answer["raise"], answer["keep"]) == (({UNIT: 16384}, []) if raised else ({}, [UNIT]))


@pytest.mark.parametrize(
    ("others", "raised"),
    [
        ("", False),
        ("LimitNOFILE=1024\n", True),
        ("LimitNOFILE=1024:20000\n", False),
        ("LimitNOFILE=1024\nLimitNOFILE = 65536\n", False),
        # Emptied first, as systemctl edit makes people do.
        ("LimitNOFILE=\nLimitNOFILE=65536\n", False),
        ("LimitNOFILE=65536\nLimitNOFILE=2048\n", True),
        ("LimitNOFILE=infinity\n", False),
        ("#LimitNOFILE=1024\n", False),
        # systemd ignores the last line of these.
        ("LimitNOFILE=20000\nLimitNOFILE=64K\n", False),
        ("LimitNOFILE=20000\nLimitNOFILE=oops\n", False),
        ("LimitNOFILE=20000\nLimitNOFILE=3000:1000\n", False),
        ("LimitNOFILE=20000\nLimitNOFILE=unlimited\n", False),
        ("LimitNOFILE=1024\nLimitNOFILE=unlimited\n", True),
        ("LimitNOFILE=1024\nLimitNOFILE=-1\n", True),
        # More than systemd can store.
        ("LimitNOFILE=1024\nLimitNOFILE=18446744073709551614\n", False),
        ("LimitNOFILE=1024\nLimitNOFILE=18446744073709551615\n", True),
        ("LimitNOFILE=1024\nLimitNOFILE=99999999999999999999999\n", True),
        (f"LimitNOFILE=1024\nLimitNOFILE={'9' * 5000}\n", True),
        ("LimitNOFILE=1024\nLimitNOFILE=0xfffffffffffffffff\n", True),
        ("LimitNOFILE=1024\nLimitNOFILE=0x5000\n", False),
        ("LimitNOFILE=1024\nLimitNOFILE=1024: +20000\n", False),
        ("LimitNOFILE=\\\n  2048\n", True),
    ],
)
@pytest.mark.parametrize("loaded", [True, False])
def test_our_own_drop_in_does_not_count(host: Host, others: str, raised: bool, loaded: bool) -> None:
    """Those of others do, whether systemd has read them already or not."""
    paths = [f"/etc/systemd/system/{UNIT}.d/{name}" for name in ("override.conf", OURS)]
    host.files.update(zip(paths, (f"[Service]\n{others}", "[Service]\nLimitNOFILE=16384\n")))
    host.unit(*(paths if loaded else []))
    assert (UNIT in host.answer()["raise"]) is raised


def test_what_systemd_shows_is_right_where_nothing_is_ours_and_all_is_read(host: Host) -> None:
    host.unit(limit="1024")
    host.shown[UNIT].update({"LimitNOFILE": "65536", "NeedDaemonReload": "no"})
    assert host.answer()["keep"] == [UNIT]
    host.shown[UNIT]["NeedDaemonReload"] = "yes"
    assert host.answer()["raise"] == {UNIT: 16384}


def test_a_unit_that_does_not_exist_gets_the_default(host: Host) -> None:
    """As the template of workers that nobody has; systemd shows the limit of its own process for it."""
    host.shown[UNIT] = {"LimitNOFILE": "1024", "FragmentPath": "", "DropInPaths": "", "NeedDaemonReload": "no"}
    assert host.answer()["keep"] == [UNIT]
    host.shown[""] = {"DefaultLimitNOFILE": "4096"}
    assert host.answer()["raise"] == {UNIT: 16384}


def test_a_higher_limit_of_an_earlier_run_stays(host: Host) -> None:
    host.files[f"/etc/systemd/system/{UNIT}.d/{OURS}"] = "[Service]\nLimitNOFILE=19000\n"
    host.files[LIMITS_FILE] = "nobody soft nofile 19000\nnobody hard nofile 524288\n"
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="4096")
    answer = host.answer()
    assert (answer["raise"], answer["soft"]) == ({UNIT: 19000}, 19000)
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="18000")
    assert host.answer()["raise"] == {UNIT: 19000}
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="20000")
    assert host.answer()["keep"] == [UNIT]


@pytest.mark.parametrize("ours", ["99999999999999999999999", "18446744073709551615", "1000000000000", "1073741817"])
def test_a_limit_of_an_earlier_run_that_no_variable_can_declare_does_not_stay(host: Host, ours: str) -> None:
    host.files[f"/etc/systemd/system/{UNIT}.d/{OURS}"] = f"[Service]\nLimitNOFILE={ours}\n"
    host.files[LIMITS_FILE] = f"nobody soft nofile {ours}\nnobody hard nofile {ours}\n"
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="4096")
    answer = host.answer()
    assert (answer["raise"], answer["soft"]) == ({UNIT: 16384}, 16384)
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="16384")
    assert host.answer()["keep"] == [UNIT]


@pytest.mark.parametrize("ours", ["1073741816", "infinity"])
def test_the_highest_limits_of_an_earlier_run_stay(host: Host, ours: str) -> None:
    host.files[f"/etc/systemd/system/{UNIT}.d/{OURS}"] = f"[Service]\nLimitNOFILE={ours}\n"
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", limit="4096")
    assert {unit: str(limit) for unit, limit in host.answer()["raise"].items()} == {UNIT: ours}


def test_a_failure_is_one_sentence(tmp_path: pathlib.Path) -> None:
    """The role gives the script on standard input, so that a failure does not show all of it."""
    arguments = [sys.executable, "-", "16384", OURS, LIMITS_FILE, "nobody-of-this-name", UNIT, UNIT]
    ended = subprocess.run(
        arguments, input=_SCRIPT.read_text(), capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)}
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("The limits of open files that others have set cannot be read: ")


def test_drop_ins_are_read_in_the_order_of_their_names(host: Host) -> None:
    """Wherever they are; one of two with the same name in the directory with the higher priority."""
    host.files.update(
        {
            f"/run/systemd/system/{UNIT}.d/20.conf": "LimitNOFILE=65536\n",
            f"/etc/systemd/system/{UNIT}.d/10.conf": "LimitNOFILE=2048\n",
            "/etc/systemd/system/service.d/15.conf": "LimitNOFILE=1000\n",
        }
    )
    host.unit("/etc/systemd/system/service.d/15.conf")
    assert host.answer()["keep"] == [UNIT]
    host.files[f"/etc/systemd/system/{UNIT}.d/20.conf"] = "LimitNOFILE=4096\n"
    assert host.answer()["raise"] == {UNIT: 16384}


def test_a_drop_in_that_is_read_after_ours_counts(host: Host) -> None:
    host.files[f"/etc/systemd/system/{UNIT}.d/zzz.conf"] = "[Service]\nLimitNOFILE=2048\n"
    host.unit(f"/etc/systemd/system/{UNIT}.d/{OURS}", f"/etc/systemd/system/{UNIT}.d/zzz.conf", limit="65536")
    assert host.answer()["raise"] == {UNIT: 16384}


def test_a_template_does_not_lower_its_instances(host: Host) -> None:
    template = "worker@.service"
    host.files[f"/etc/systemd/system/{template}.d/limits.conf"] = "LimitNOFILE=1024\n"
    assert host.answer(unit=template)["raise"] == {template: 16384}
    host.files["/etc/systemd/system/worker@small.service.d/limits.conf"] = "LimitNOFILE=2048\n"
    host.files["/etc/systemd/system/worker@big.service.d/limits.conf"] = "LimitNOFILE=65536\n"
    assert host.answer(unit=template)["raise"] == {template: 65536}
    # An instance with a unit of its own, which the drop-ins of the template apply to as well.
    host.files["/etc/systemd/system/worker@own.service"] = "LimitNOFILE=70000\n"
    host.shown["worker@own.service"] = {"FragmentPath": "/etc/systemd/system/worker@own.service", "DropInPaths": ""}
    del host.files[f"/etc/systemd/system/{template}.d/limits.conf"]
    host.shown[""] = {"DefaultLimitNOFILE": "1024"}
    assert host.answer(unit=template)["raise"] == {template: 70000}
    host.files["/etc/systemd/system/worker@big.service.d/limits.conf"] = "LimitNOFILE=infinity\n"
    assert host.answer(unit=template)["raise"] == {template: "infinity"}


@pytest.mark.parametrize(
    ("lines", "soft", "hard"),
    [
        # A session can get what the first process has.
        ("", 16384, 524288),
        ("root - nofile 1024", 16384, 524288),
        ("root soft nofile 20000", 20000, 524288),
        ("root hard nofile 1000000", 16384, 1000000),
        ("root - nofile 65536", None, None),
        ("* - nofile 65536", None, None),
        ("root - nofile unlimited", None, None),
        # The line for the user counts more than the one for everybody, wherever it stands.
        ("root - nofile 1024\n* - nofile 65536", 16384, 524288),
        ("* - nofile 65536\nroot - nofile 1024", 16384, 524288),
        ("other - nofile 65536", 16384, 524288),
        # Numbers of users and of groups; the account is root.
        (":0 - nofile 65536", None, None),
        ("0:10 - nofile 65536", None, None),
        ("0: - nofile 65536", None, None),
        ("1:10 - nofile 65536", 16384, 524288),
        ("@:0 - nofile 65536", None, None),
        ("@1:10 - nofile 65536", 16384, 524288),
        ("@root - nofile 65536", None, None),
        (": - nofile 65536", 16384, 524288),
        ("root - nproc 65536", 16384, 524288),
        ("# root - nofile 65536", 16384, 524288),
        ("root - nofile", 16384, 524288),
    ],
)
def test_a_session_never_gets_less_than_by_the_files_of_others(
    host: Host, lines: str, soft: int | None, hard: int | None
) -> None:
    host.unit(limit="65536")
    host.files["/etc/security/limits.d/others.conf"] = lines
    host.files[LIMITS_FILE] = "root - nofile 99999"
    answer = host.answer(user="root")
    assert (answer["soft"], answer["hard"]) == (soft, hard)


def test_no_limit_at_all_can_be_written(host: Host) -> None:
    host.unit(limit="65536")
    host.files["/proc/1/limits"] = "Max open files            1024      unlimited     files\n"
    answer = host.answer()
    assert (answer["soft"], answer["hard"], answer["ceiling"]) == (16384, "unlimited", "unlimited")
