# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Compares a manifest with the members of its archive. Whoever can write an archive can write any SHA-256 into it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    DATABASE,
    FILES,
    HEADER,
    MANIFEST,
    MEDIA,
    UNFINISHED,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import Damaged
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import is_sample

Json = dict[str, t.Any]
Check = t.Callable[[t.Any], bool]

# The end of the year 9999, in milliseconds since 1970.
_LATEST = 253_402_300_799_999
_LARGEST = 2**63 - 1
_APP = re.compile(r"synapse\.app\.[a-z_]+")
# At most as many directories as anybody configures.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")
_MODE, _SHA256 = re.compile(r"[0-7]{3,5}"), re.compile(r"[0-9a-f]{64}")


def _is_text(value: t.Any) -> bool:
    return isinstance(value, str)


def _is_name(value: t.Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_number(value: t.Any, smallest: int = 0, largest: int = _LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest


def _is_mode(value: t.Any) -> bool:
    return isinstance(value, str) and _MODE.fullmatch(value) is not None


def _is_sha256(value: t.Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_app(value: t.Any) -> bool:
    return isinstance(value, str) and _APP.fullmatch(value) is not None


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _all(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(each) for each in value)


def _has(checks: t.Mapping[str, Check], optional: t.Mapping[str, Check] | None = None) -> Check:
    """Return a check for a mapping with these values. `optional`: may be missing."""

    def check(value: t.Any) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value and right(value[name]) for name, right in checks.items())
            and all(right(value[name]) for name, right in (optional or {}).items() if name in value)
        )

    return check


def _is_counts(value: t.Any) -> bool:
    return isinstance(value, dict) and all(_is_number(count) for count in value.values())


_OWNERSHIP: dict[str, Check] = {"mode": _is_mode, "owner": _is_name, "group": _is_name}
_FILE = _has(
    {
        **_OWNERSHIP,
        **dict.fromkeys(("member", "path", "kind"), _is_name),
        "size": _is_number,
        "sha256": _is_sha256,
        "modified": lambda value: _is_number(value, -_LARGEST),
    }
)
_DAEMON = _has({"app": _is_app, "config_path": _all(_is_name)})
_ACCOUNT: dict[str, Check] = dict.fromkeys(("manager", "user", "group"), _is_name)
# What a restore and the other modules read. More may be there.
_MANIFEST: dict[str, Check] = {
    "server_name": _is_name,
    "created_ts": lambda value: _is_number(value, 0, _LATEST),
    "synapse_version": _is_name,
    "engine": _one_of("sqlite", "postgresql"),
    "schema_version": _is_number,
    "media_mode": _one_of("include", "location"),
    "row_counts": _is_counts,
    "sample": is_sample,
    "files": _all(_FILE),
    "directories": _all(_has({"path": _is_name, **_OWNERSHIP})),
    "media": _has(
        {
            "mode": _one_of("include", "location"),
            "directories": _all(_has({"path": _is_name}, {**_OWNERSHIP, "bytes": _is_number})),
            "files": _is_number,
            "bytes": _is_number,
        }
    ),
    "installation": _has({"kind": _is_name}, {"python": _is_name, "synapse_version": _is_name}),
    "service": _has(
        {
            **_ACCOUNT,
            "config_path": lambda value: bool(value) and _all(_is_name)(value),
            "units": _all(_has({"name": _is_name})),
            "workers": _all(_is_name),
        },
        {"working_directory": _is_text, "daemons": _all(_DAEMON)},
    ),
}
_DATABASE: dict[str, Check] = {
    "engine": _is_name,
    "chunks": _is_number,
    "bytes": _is_number,
    "schema_compat_version": _is_number,
}
_OF_ENGINE: dict[str, dict[str, Check]] = {
    "sqlite": {"path": _is_name},
    "postgresql": {
        **dict.fromkeys(("name", "user"), _is_name),
        **dict.fromkeys(("host", "port"), _is_text),
        "size": _is_number,
    },
}


_KINDS = (HEADER, DATABASE, FILES, MEDIA, MANIFEST)
_OF_DATABASE, _OF_FILES, _OF_MEDIA = 1, 2, 3


class Contents:
    """What the members of an archive are, as they are read."""

    def __init__(self) -> None:
        # The members are in the order of _KINDS.
        self._kind = -1
        self._files: dict[str, tuple[str, int]] = {}
        self._pieces = self._media = 0
        self._sizes: list[int] = []
        self._medium: tuple[int, list[str]] = (0, [])

    def add(self, name: str, digest: bytes, size: int) -> None:
        """Add a member. Raises Damaged for one that no backup has, or not at this place."""
        kind = next((number for number, beginning in enumerate(_KINDS) if name.startswith(beginning)), -1)
        if kind < self._kind or not self._is_next(kind, name):
            raise Damaged(f"it contains {ascii(name)}, which a backup does not contain there")
        self._kind = kind
        if kind == _OF_FILES:
            self._files[name] = digest.hex(), size
        elif kind == _OF_MEDIA:
            self._media += 1
            self._sizes[-1] += size
        elif kind == _OF_DATABASE:
            self._pieces += 1

    def _is_next(self, kind: int, name: str) -> bool:
        """Return whether a backup may have such a member after the others."""
        if kind == _OF_DATABASE:
            return name == f"{DATABASE}{self._pieces:04d}"
        if kind == _OF_FILES:
            return name not in self._files
        if kind == _OF_MEDIA:
            return self._is_next_medium(name[len(MEDIA) :])
        return name == HEADER if self._kind < 0 else name == MANIFEST

    def _is_next_medium(self, place: str) -> bool:
        """Return whether it is the path of a medium. They are in the order of a walk through the directories.

        So nothing is there twice, and no file is where another one needs a directory.
        """
        number, *names = place.split("/")
        if not _NUMBER.fullmatch(number) or not names or names[-1] == UNFINISHED or {"", ".", ".."} & {*names}:
            return False
        # Such as .ssh: see `media.walk`, and `allowed` for other files.
        if any(name.startswith(".") for name in names[:-1]):
            return False
        last, medium = self._medium, (int(number), names)
        if last[1] and (medium <= last or (medium[0] == last[0] and names[: len(last[1])] == last[1])):
            return False
        self._sizes += [0] * (medium[0] + 1 - len(self._sizes))
        self._medium = medium
        return True

    def require(self, header: Json, manifest: Json) -> None:
        """Raise Damaged unless the manifest is complete, and is that of these members and of this header."""
        if any(manifest.get(name) != value for name, value in header.items()):
            raise Damaged("its header and its manifest are not of the same backup")
        for name, check in _MANIFEST.items():
            if name not in manifest or not check(manifest[name]):
                raise Damaged(f"{name} in its manifest is not as a backup has it")
        database = manifest["database"] if isinstance(manifest.get("database"), dict) else {}
        if not _has({**_DATABASE, **_OF_ENGINE[manifest["engine"]]})(database):
            raise Damaged("database in its manifest is not as a backup has it")
        named = {str(file["member"]): (str(file["sha256"]), int(file["size"])) for file in manifest["files"]}
        if named != self._files or len(named) != len(manifest["files"]):
            raise Damaged("its manifest names other files than it contains")
        media = manifest["media"]
        if (self._pieces, self._media, sum(self._sizes)) != (database["chunks"], media["files"], media["bytes"]):
            raise Damaged("its manifest names another database or other media than it contains")
        if len(self._sizes) > len(media["directories"]) or (self._media and media["mode"] != "include"):
            raise Damaged("it contains media of a directory that is not in its manifest")
        paths = [str(file["path"]) for file in (*manifest["files"], *([database] if "path" in database else []))]
        if len(set(paths)) != len(paths):
            raise Damaged("its manifest names a path twice")
