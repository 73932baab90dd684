# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of an export: what is declared, what the module returns, and what the export really contains."""

from __future__ import annotations

import dataclasses
import json
import re
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    Result,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.export_content import Found, describe

MODULE = "synapse_export"
# They are not known before the export is made.
_UNPREDICTABLE = tuple(
    f"export.{key}" for key in ("summary", "created", "created_ts", "size", "missing_media", "not_exported")
)
_SILENT = "the server did not answer"


@dataclasses.dataclass(frozen=True)
class Export:
    """What is declared of an export, and what must be in it.

    `declared`: the parameters, see `declare`. `changes`: whether there is none yet.
    `holds`: what must be found in it, at least. `missing`: the media that are not in it, with a regular expression for
    the reason. `forgotten`: the forgotten rooms that are returned. `silent`: whether the server does not answer.
    """

    declared: t.Callable[[Place], Parameters]
    changes: bool = True
    holds: t.Callable[[Place], Found] = lambda place: {}
    missing: t.Callable[[Place], dict[str, str]] = lambda place: {}
    forgotten: t.Callable[[Place], list[str]] | None = None
    silent: bool = False


def on_each_engine(group: str) -> pytest.MarkDecorator:
    """Return a mark that runs tests on each engine, where those of a `group` stay in one process.

    So the users that they export are created only once.
    """
    engines = [
        pytest.param(engine, marks=pytest.mark.xdist_group(f"{group} on {engine}")) for engine in servers.ENGINES
    ]
    return pytest.mark.parametrize("server", engines, indirect=True)


def exports(place: Place) -> Path:
    """Return the directory in which the exports of a case are."""
    path = place.directory / "exports"
    path.mkdir(mode=0o755, exist_ok=True)
    return path


def declare(place: Place, user_id: str, dest: str | None = "export", **declared: t.Any) -> Parameters:
    """Return the parameters for an export to `dest` in the directory of the exports."""
    return {
        "user_id": user_id,
        "dest": None if dest is None else f"{exports(place)}/{dest}",
        "config_path": place.server.config_path,
        "synapse_python": place.server.python,
        **declared,
    }


def look(place: Place) -> State:
    """Return what is in the directory of the exports, so that anything written there is detected."""
    paths = {str(path.relative_to(exports(place))): path.lstat() for path in exports(place).rglob("*")}
    return {
        name: (stat.filemode(found.st_mode), found.st_ino)
        + (() if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns))
        for name, found in paths.items()
    }


def left(place: Place) -> list[str]:
    """Return the entries of the directory of the exports, including hidden ones."""
    return sorted(path.name for path in exports(place).iterdir())


def prove_export(place: Place, export: Export) -> tuple[Result, Found]:
    """Check, run and run again what is declared, and read the export. Return the result and the content."""
    case = Expectation(
        "export",
        MODULE,
        export.declared,
        changes=export.changes,
        state=look,
        unpredictable=_UNPREDICTABLE if export.changes else (),
    )
    result = prove(place, case)
    assert not [name for name in left(place) if name.startswith(".")], "a hidden entry is left"
    return result, look_into(place, export, result)


def look_into(place: Place, expected: Export, result: Result) -> Found:
    """Return the content of an export, after a check that it is as expected and as the module returns it."""
    export, path = result["export"], Path(result["export"]["dest"])
    found = describe(path)
    manifest = found["manifest"]
    wrong = {name: (found[name], value) for name, value in expected.holds(place).items() if found[name] != value}
    assert not wrong, wrong
    require_whole(found)
    assert found["user_id"] == export["user_id"] == manifest["user_id"]
    assert found["size"] == export["size"]
    assert found["summary"] == export["summary"] == manifest["summary"]
    assert manifest["server_name"] == place.server.name
    assert manifest["synapse_version"] == export["synapse_version"]
    assert (manifest["created"], manifest["created_ts"]) == (export["created"], export["created_ts"])
    missing = {medium["media_id"]: medium["reason"] for medium in export["missing_media"]}
    reasons = expected.missing(place)
    assert missing.keys() == reasons.keys()
    assert all(re.search(reasons[media_id], reason) for media_id, reason in missing.items()), missing
    assert manifest["not_exported"] == export["not_exported"]
    assert any(gap["reason"] == _SILENT for gap in manifest["not_exported"]) is expected.silent
    assert sorted(room["room_id"] for room in manifest["pending_rooms"]) == sorted(found["pending"])
    assert sorted(room["room_id"] for room in export["pending_rooms"]) == sorted(found["pending"])
    if expected.forgotten is not None:
        assert export["forgotten_rooms"] == expected.forgotten(place)
    assert manifest["forgotten_rooms"] == export["forgotten_rooms"]
    assert export["format"] == next((kind for kind in ("tar.gz", "zip") if path.name.endswith(f".{kind}")), "directory")
    assert path.is_dir() is (export["format"] == "directory")
    assert found["modes"] == (["-rw-------", "drwx------"] if path.is_dir() else ["-rw-------"])
    assert "null" not in json.dumps(manifest)
    return found


def require_whole(found: Found) -> None:
    """Check that an export contains the files of its manifest, and that each can be unpacked on every system."""
    files = {file["path"]: (file["size"], file["sha256"]) for file in found["manifest"]["files"]}
    assert files == found["described"]
    assert found["odd_names"] == []


def prove_refused(place: Place, message: str, parameters: Parameters, state: t.Callable[[Place], State] = look) -> None:
    """Declare what must be refused in check mode and in a real run, and check that nothing is written."""
    prove_refusal(place, Refusal("refused", MODULE, lambda _place: parameters, message, state=state))
