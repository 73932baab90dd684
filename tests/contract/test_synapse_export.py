# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_export exports without obstacles."""

from __future__ import annotations

import dataclasses
import re
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.export_content import Found
from ansible_collections.matrix_ops.synapse.tests.contract.export_people import (
    Person,
    collector,
    make_pending,
    new_word,
    people,
)
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import (
    MODULE,
    Export,
    declare,
    exports,
    left,
    on_each_engine,
    prove_export,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

pytestmark = on_each_engine("exports of people")

_UNSAFE_ROOM = "!slash/../../outside%2F:{server_name}"


@dataclasses.dataclass(frozen=True)
class Made:
    """An export that is only read: where it was made, what the module returned, and what is in it."""

    place: Place
    result: Result
    found: Found

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.result["export"]["dest"])

    def copied(self, place: Place, name: str) -> Path:
        """Return a copy of it with this name, in the directory of the exports of a case."""
        copy = exports(place) / name
        shutil.copytree(self.path, copy)
        return copy


def _made(server: Server, directory: Path, export: Export) -> Made:
    place = Place(server, new_word(), directory)
    return Made(place, *prove_export(place, export))


def _odd(place: Place) -> Parameters:
    return declare(place, people(place.server).odd.localpart)


def _of_collector(dest: str, **declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: declare(place, collector(place.server).person.localpart, dest, **{"media": True, **declared})


def _uploaded(place: Place) -> Found:
    made = collector(place.server)
    return {"rooms": made.rooms, "media_files": made.files}


def _missing(place: Place) -> dict[str, str]:
    return collector(place.server).missing


def _missing_but_quarantined(place: Place) -> dict[str, str]:
    quarantined = collector(place.server).quarantined
    return {media_id: why for media_id, why in _missing(place).items() if media_id != quarantined}


def _invited_to(place: Place) -> list[str]:
    return [people(place.server).invited_to]


def _holds_odd(place: Place) -> Found:
    everybody = people(place.server)
    return {
        "user_id": everybody.odd.user_id,
        "rooms": everybody.odd_rooms,
        "media": everybody.odd_media,
        "messages": everybody.odd_messages,
        "account_data": {"test": {"everywhere": True}},
    }


def _forgotten_by_odd(place: Place) -> list[str]:
    return [people(place.server).forgotten_by_odd]


_PACKED = {"format": "tar.gz", "media_source": "media_store"}
_ODD = Export(_odd, holds=_holds_odd, forgotten=_forgotten_by_odd)
_STORE = Export(
    _of_collector("store", **_PACKED), holds=lambda place: {**_uploaded(place), "name": "store"}, missing=_missing
)

EXPORTS = {
    "an account that was invited again to where it had been": Export(
        lambda place: declare(place, people(place.server).returning.localpart),
        holds=lambda place: {"rooms": [people(place.server).returned_to], "media": []},
    ),
    "an account with an invite and a knock": Export(
        lambda place: declare(place, people(place.server).pending.localpart),
        holds=lambda place: {
            "rooms": sorted([people(place.server).invited_to, people(place.server).knocked_at]),
            "pending": {
                people(place.server).invited_to: "invite_state",
                people(place.server).knocked_at: "knock_state",
            },
        },
    ),
    "files of every kind, from the server": Export(
        _of_collector("client_api", media_source="client_api"), holds=_uploaded, missing=_missing
    ),
    "files of every kind, without a token": Export(
        _of_collector("silent", access_token=""),
        holds=_uploaded,
        missing=_missing,
    ),
    "quarantined files too, from any source": Export(
        _of_collector("all.zip", format="zip", include_quarantined=True),
        holds=lambda place: {"name": "all"},
        missing=_missing_but_quarantined,
    ),
    "the forgotten rooms of an account that was deactivated": Export(
        lambda place: declare(place, people(place.server).gone.localpart, include_forgotten=True),
        holds=lambda place: {"rooms": _invited_to(place)},
        forgotten=_invited_to,
    ),
    "an account that was deactivated": Export(
        lambda place: declare(place, people(place.server).gone.localpart),
        holds=lambda place: {"user_id": people(place.server).gone.user_id, "rooms": []},
        forgotten=_invited_to,
    ),
    "an account that was erased": Export(
        lambda place: declare(place, people(place.server).erased.localpart),
        holds=lambda place: {"user_id": people(place.server).erased.user_id, "rooms": []},
        forgotten=_invited_to,
    ),
}


@pytest.fixture(scope="module")
def odd(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The export of an account with every odd character, proved when it was made."""
    return _made(server, tmp_path_factory.mktemp("odd"), _ODD)


@pytest.fixture(scope="module")
def packed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The export of files of every kind, in an archive, proved when it was made."""
    return _made(server, tmp_path_factory.mktemp("packed"), _STORE)


@pytest.mark.parametrize("export", [pytest.param(export, id=name) for name, export in EXPORTS.items()])
def test_exported(place: Place, export: Export) -> None:
    prove_export(place, export)


def test_account_with_every_odd_character_that_has_everything(odd: Made) -> None:
    assert odd.result["changed"]
    assert odd.found["user_id"] == people(odd.place.server).odd.user_id


def test_same_account_by_its_full_id(odd: Made) -> None:
    user_id = people(odd.place.server).odd.user_id
    declared = declare(odd.place, user_id, "export/")
    prove_export(odd.place, dataclasses.replace(_ODD, declared=lambda _place: declared, changes=False))


def test_files_of_every_kind_from_the_media_store_packed(packed: Made) -> None:
    assert packed.result["changed"]
    assert packed.path.name == "store.tar.gz"


def test_export_that_exists_and_is_recent_enough(packed: Made) -> None:
    declared = _of_collector("store.tar.gz", format="tar.gz", max_age="3600s")
    prove_export(packed.place, dataclasses.replace(_STORE, declared=declared, changes=False))


def test_quarantined_media_that_are_requested_later(place: Place) -> None:
    def declared(*, include_quarantined: bool) -> t.Callable[[Place], Parameters]:
        return _of_collector("export", media_source="media_store", include_quarantined=include_quarantined)

    without, with_them = declared(include_quarantined=False), declared(include_quarantined=True)
    found = prove_export(place, Export(without, missing=_missing))[1]
    assert found["manifest"]["includes_quarantined_media"] is False
    predicted = play(place, MODULE, with_them(place), check=True)
    made = play(place, MODULE, with_them(place))
    assert (predicted["changed"], made["changed"]) == (True, True)
    assert predicted["steps"] == made["steps"]
    assert predicted["diff"] == made["diff"]
    assert [made["diff"][when]["include_quarantined"] for when in ("before", "after")] == [False, True]
    for unchanged in (with_them, without):
        kept, found = prove_export(place, Export(unchanged, changes=False, missing=_missing_but_quarantined))
        assert kept["export"] == made["export"]
        assert found["manifest"]["includes_quarantined_media"] is True


def test_account_with_data_of_a_room_that_is_a_path(place: Place) -> None:
    unsafe = Person(place.server, f"{place.unique}-unsafe")
    room_id = _UNSAFE_ROOM.format(server_name=place.server.name)
    unsafe.set_data({}, room_id)
    _result, found = prove_export(
        place, Export(lambda _place: declare(place, unsafe.localpart), holds=lambda _place: {"rooms": []})
    )
    assert list(found["account_data_of_rooms"]) == [room_id]


def test_account_without_any_data(place: Place) -> None:
    place.server.make_account(f"{place.unique}-new")
    declared = declare(place, f"{place.unique}-new", "a name with spaces, 'quotes' and ü")
    prove_export(place, Export(lambda _place: declared, holds=lambda _place: {"rooms": [], "media": [], "messages": 0}))


def test_account_that_has_declined(place: Place) -> None:
    leader = Person(place.server, f"{place.unique}-leader")
    invited_to, knocked_at = leader.make_room("12"), leader.make_room("12", "knock")
    pending = make_pending(leader, f"{place.unique}-pending", invited_to, knocked_at)
    for room_id in (invited_to, knocked_at):
        pending.act(room_id, "leave")
    nothing = {"rooms": [], "media": [], "messages": 0, "pending": {}}
    prove_export(place, Export(lambda _place: declare(place, pending.localpart), holds=lambda _place: nothing))


def test_export_with_an_added_file_is_refused(place: Place, odd: Made) -> None:
    (odd.copied(place, "export") / "note").write_text("")
    prove_refused(place, "is not as it was made .* with recreate: true", _odd(place))


def test_new_export_replaces_the_old_one(place: Place, odd: Made) -> None:
    old = odd.copied(place, "export")
    inode, declared = old.stat().st_ino, _odd(place)
    predicted = play(place, MODULE, {**declared, "recreate": True}, check=True)
    (old / "note").write_text("")
    renewed = play(place, MODULE, {**declared, "recreate": True})
    again = play(place, MODULE, declared)
    assert [predicted["changed"], renewed["changed"], again["changed"]] == [True, True, False]
    assert predicted["steps"] == renewed["steps"]
    assert f"replacing the export made at {odd.result['export']['created']}" in predicted["steps"][0]
    assert predicted["diff"]["before"]["created"] == odd.result["export"]["created"]
    assert predicted["diff"] == renewed["diff"]
    assert old.stat().st_ino != inode
    assert not (old / "note").exists()
    assert again["export"] == renewed["export"]
    assert left(place) == ["export"]


@pytest.mark.parametrize(("age", "changes"), [("1h", False), ("0", True)])
def test_only_its_age_decides_whether_a_new_one_is_made(odd: Made, age: str, changes: bool) -> None:
    declared = {**_odd(odd.place), "max_age": age}
    # It was made just now, and becomes older than a second.
    until(lambda: play(odd.place, MODULE, declared, check=True)["changed"], lambda changed: changed is changes)


def test_export_of_another_account_is_not_replaced(odd: Made) -> None:
    other = people(odd.place.server).returning
    message = f"/export contains the export of @.*, not of {other.user_id}"
    prove_refused(odd.place, message, declare(odd.place, other.localpart, recreate=True))


def test_link_to_an_export_is_refused(place: Place, odd: Made) -> None:
    (exports(place) / "link").symlink_to(odd.path)
    prove_refused(place, "/link is not a directory", declare(place, people(place.server).odd.localpart, "link"))


def test_all_media_are_required_and_some_cannot_be_there(place: Place) -> None:
    made = collector(place.server)
    declared = _of_collector("whole", require_all_media=True)(place)
    number, total = len(made.missing) - 1, len(made.missing) + len(made.files)
    # Each with its reason in brackets. Of the one that is lost, the database does not know it.
    message = (
        rf"{number} of the {total} media of {re.escape(made.person.user_id)} cannot be exported:"
        rf"( \S+ \([^)]+\),?){{{number}}}\. Without require_all_media they are only listed"
    )
    prove_refused(place, message, declared)
    prove_refused(place, f"{number - 1} of the {total} media", {**declared, "include_quarantined": True})


def test_all_media_are_required_and_one_is_lost(place: Place) -> None:
    person = Person(place.server, f"{place.unique}-owner")
    kept_id, lost = person.upload("kept", b"kept"), person.upload("lost", b"lost")
    (Path(place.server.directory) / "media_store" / "local_content" / lost[:2] / lost[2:4] / lost[4:]).unlink()
    result = play(place, MODULE, declare(place, person.localpart, "whole", media=True, require_all_media=True))
    assert result.get("failed"), result
    message = (
        rf"^1 of the 2 media of {re.escape(person.user_id)} cannot be exported: {lost} \(.*\)\. Without require_all"
    )
    assert re.search(message, result["msg"]), result["msg"]
    # Only the media are kept for the next task, and they are private.
    [hidden] = exports(place).iterdir()
    assert hidden.name.startswith(".synapse_export_")
    assert [path.name for path in hidden.iterdir()] == ["media"]
    kept = sorted((hidden / "media").iterdir())
    assert [path.name.partition("+")[0] for path in kept] == [kept_id]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (hidden, hidden / "media")} == {0o700}
