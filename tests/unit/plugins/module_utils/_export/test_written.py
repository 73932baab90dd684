# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import digest_of, name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.written import name_by_ids

LONG, UPPER, LOWER = "!" + "x" * 400 + ":s", "!ROOM:s", "!room:s"
EVENT, MEDIUM = "$../event/id", "GCmhgzMPRjqgpODLsNQzVuHZ"


class Written:
    """What the command has written."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "export"
        self.ids = directory / "ids"
        self.ids.write_text("".join(json.dumps(text) + "\n" for text in (LONG, UPPER, LOWER, EVENT, MEDIUM)))

    def write(self, *parts: str) -> None:
        path = self.directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(parts[-1])

    def name(self) -> dict[str, str]:
        return name_by_ids(str(self.directory), str(self.ids))

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file())


@pytest.fixture
def written(tmp_path: pathlib.Path) -> Written:
    return Written(tmp_path)


def test_everything_gets_its_name_and_keeps_its_id(written: Written) -> None:
    for room_id in (UPPER, LOWER):
        written.write("rooms", digest_of(room_id), "events")
        written.write("rooms", digest_of(room_id), "state", digest_of(EVENT))
    written.write("user_data", "account_data", digest_of(LONG))
    written.write("user_data", "account_data", "global")
    written.write("user_data", "profile")
    written.write("media_ids", digest_of(MEDIUM))
    upper, lower, event = name_of(UPPER), name_of(LOWER), name_of(EVENT)
    assert written.name() == {
        f"rooms/{upper}": UPPER,
        f"rooms/{upper}/state/{event}": EVENT,
        f"rooms/{lower}": LOWER,
        f"rooms/{lower}/state/{event}": EVENT,
        f"user_data/account_data/{name_of(LONG)}": LONG,
        f"media_ids/{name_of(MEDIUM)}": MEDIUM,
    }
    assert written.files() == sorted(
        [
            *(f"rooms/{room}/{file}" for room in (upper, lower) for file in ("events", f"state/{event}")),
            *(f"user_data/{name}" for name in ("account_data/global", f"account_data/{name_of(LONG)}", "profile")),
            f"media_ids/{name_of(MEDIUM)}",
        ]
    )
    assert (written.directory / "rooms" / upper / "events").read_text() == "events"


def test_export_that_contains_almost_nothing(written: Written) -> None:
    written.write("user_data", "profile")
    assert written.name() == {}
    assert written.files() == ["user_data/profile"]


@pytest.mark.parametrize("path", ["rooms/!r/events", "media_ids/global", "user_data/account_data/!r"])
def test_unknown_name_is_refused(written: Written, path: str) -> None:
    written.write(*path.split("/"))
    with pytest.raises(SynapseError, match="which this version of the collection does not support. Use a version"):
        written.name()


def test_disk_that_fails_is_reported(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written.write("media_ids", digest_of(MEDIUM))

    def fail(source: str, _target: str) -> None:
        raise OSError(5, "Input/output error", source)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(SynapseError, match="media_ids/.* could not be renamed: Input/output error"):
        written.name()
