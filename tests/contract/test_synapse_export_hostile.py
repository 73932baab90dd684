# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of accounts that try to break them, with ids and contents that are dangerous for paths and programs."""

from __future__ import annotations

import functools
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, play
from ansible_collections.matrix_ops.synapse.tests.contract.export_content import Found
from ansible_collections.matrix_ops.synapse.tests.contract.export_hostile import (
    LOCALPARTS,
    Hostile,
    accounts,
    archives,
    deep,
    names,
)
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import (
    MODULE,
    Export,
    declare,
    exports,
    left,
    on_each_engine,
    prove_export,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

pytestmark = on_each_engine("hostile exports")


def _export(make: t.Callable[[Server], Hostile], holds: t.Callable[[Hostile], Found], **declared: t.Any) -> Export:
    return Export(
        lambda place: declare(place, make(place.server).person.localpart, **declared),
        holds=lambda place: holds(make(place.server)),
    )


def _data(made: Hostile) -> Found:
    return {"account_data_of_rooms": made.data}


def _files(made: Hostile) -> Found:
    return {"media_files": made.files, "ends_like_a_zip": True}


EXPORTS = {
    "ids that are paths, too long, or differ only by case": _export(names, _data),
    "the same ids, in an archive": _export(names, lambda made: {**_data(made), "name": "export"}, format="tar.gz"),
    "what is nested as deeply as the server accepts it": _export(
        deep, lambda made: {**_data(made), "rooms": made.rooms}
    ),
    "the same, in an archive": _export(deep, _data, format="zip"),
    "files that look like archives, in a tar": _export(archives, _files, format="tar.gz", media=True),
    "files that look like archives, in a zip": _export(archives, _files, format="zip", media=True),
}


def _into_one_directory(place: Place, user_id: str) -> Parameters:
    return declare(place, user_id, None, dest_directory=f"{exports(place)}/accounts", format="zip")


@pytest.mark.parametrize("export", [pytest.param(export, id=name) for name, export in EXPORTS.items()])
def test_exported(place: Place, export: Export) -> None:
    prove_export(place, export)


@pytest.mark.parametrize("number", range(len(LOCALPARTS)), ids=[localpart[:20] for localpart in LOCALPARTS])
def test_account_whose_name_leads_elsewhere(place: Place, number: int) -> None:
    user_id = accounts(place.server)[number]
    declared = functools.partial(_into_one_directory, user_id=user_id)
    result, _found = prove_export(place, Export(declared, holds=lambda _place: {"user_id": user_id}))
    assert left(place) == ["accounts"]
    [path] = (exports(place) / "accounts").iterdir()
    assert str(path) == result["export"]["dest"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_account_has_its_own_place_in_the_directory(place: Place) -> None:
    predicted = [
        play(place, MODULE, _into_one_directory(place, user_id), check=True) for user_id in accounts(place.server)
    ]
    paths = [Path(result["export"]["dest"]) for result in predicted]
    # They are different even on a case-insensitive file system.
    assert len({str(path).lower() for path in paths}) == len(LOCALPARTS)
    assert {path.parent for path in paths} == {exports(place) / "accounts"}
    assert paths[0].name == "hostile.zip"
    assert all(re.fullmatch(r"[0-9A-Za-z_=-]{0,40}(\+[0-9a-f]{32})?\.zip", path.name) for path in paths), paths
    assert left(place) == []
