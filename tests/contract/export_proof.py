# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of an export: what is declared, what is told of it, and what really is in it afterwards."""

from __future__ import annotations

import dataclasses
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
# Only making an export can tell these.
_UNPREDICTABLE = ("counts", "created_at", "size", "missing_media", "not_exported")
_SILENT = "the server did not answer"


@dataclasses.dataclass(frozen=True)
class Export:
    """What is declared of an export, and what must be in it.

    `declared`: the parameters, see `declare`. `changes`: whether there is none yet.
    `holds`: what must be found in it, at least. `missing`: the media that are not in it, with a regular expression of
    why. `forgotten`: the rooms that are told as forgotten. `silent`: whether the server does not answer.
    """

    declared: t.Callable[[Place], Parameters]
    changes: bool = True
    holds: t.Callable[[Place], Found] = lambda place: {}
    missing: t.Callable[[Place], dict[str, str]] = lambda place: {}
    forgotten: t.Callable[[Place], list[str]] | None = None
    silent: bool = False


def on_each_engine(group: str) -> pytest.MarkDecorator:
    """Return a mark that runs tests on each engine, where those of a `group` stay in one process.

    So that makes the people whom they export once.
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


def declare(place: Place, user_id: str, destination: str | None = "export", **declared: t.Any) -> Parameters:
    """Return the parameters for an export to `destination` in the directory of the exports."""
    return {
        "user_id": user_id,
        "destination": None if destination is None else f"{exports(place)}/{destination}",
        "config_path": place.server.config_path,
        "synapse_python": place.server.python,
        **declared,
    }


def look(place: Place) -> State:
    """Return what is in the directory of the exports, so that whatever is written there is seen."""
    paths = {str(path.relative_to(exports(place))): path.lstat() for path in exports(place).rglob("*")}
    return {
        name: (stat.filemode(found.st_mode), found.st_ino)
        + (() if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns))
        for name, found in paths.items()
    }


def left(place: Place) -> list[str]:
    """Return what lies in the directory of the exports itself, with what is hidden."""
    return sorted(path.name for path in exports(place).iterdir())


def prove_export(place: Place, export: Export) -> tuple[Result, Found]:
    """Check, run and run again what is declared, and look into the export. Return the result and what was found."""
    case = Expectation(
        "export",
        MODULE,
        export.declared,
        changes=export.changes,
        state=look,
        unpredictable=_UNPREDICTABLE if export.changes else (),
    )
    result = prove(place, case)
    assert not [name for name in left(place) if name.startswith(".")], "it has left something behind"
    return result, look_into(place, export, result)


def look_into(place: Place, export: Export, result: Result) -> Found:
    """Return what is in an export, and see that it is what must be there, and what the module tells of it."""
    found = describe(Path(result["destination"]))
    manifest = found["manifest"]
    wrong = {name: (found[name], value) for name, value in export.holds(place).items() if found[name] != value}
    assert not wrong, wrong
    require_whole(found)
    assert found["user_id"] == result["user_id"] == manifest["user_id"]
    assert found["size"] == result["size"]
    assert found["counts"] == result["counts"] == manifest["counts"]
    assert manifest["server_name"] == place.server.name
    assert manifest["synapse_version"] == result["synapse_version"]
    assert manifest["created_at"] == result["created_at"]
    missing = {medium["media_id"]: medium["missing"] for medium in result["missing_media"]}
    expected = export.missing(place)
    assert missing.keys() == expected.keys()
    assert all(re.search(expected[media_id], why) for media_id, why in missing.items()), missing
    assert manifest["not_exported"] == result["not_exported"]
    assert any(gap["why"] == _SILENT for gap in manifest["not_exported"]) is export.silent
    assert sorted(room["room_id"] for room in manifest["pending"]) == sorted(found["pending"])
    if export.forgotten is not None:
        assert result["forgotten_rooms"] == export.forgotten(place)
    assert manifest["forgotten_rooms"] == result["forgotten_rooms"]
    archived = Path(result["destination"]).is_file()
    assert found["modes"] == (["-rw-------"] if archived else ["-rw-------", "drwx------"])
    return found


def require_whole(found: Found) -> None:
    """See that an export holds the files that its manifest says, and that each can be unpacked everywhere."""
    files = {file["path"]: (file["size"], file["sha256"]) for file in found["manifest"]["files"]}
    assert files == found["described"]
    assert found["odd_names"] == []


def prove_refused(place: Place, message: str, parameters: Parameters, state: t.Callable[[Place], State] = look) -> None:
    """Declare in check mode and for real what must be refused, and see that nothing is written."""
    prove_refusal(place, Refusal("refused", MODULE, lambda _place: parameters, message, state=state))
