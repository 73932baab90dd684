# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_config writes and removes. No Synapse is started, but the code of Synapse reads the files."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    OWN_NAME,
    SynapseReader,
    attributes_of,
    configure,
    declared,
    look_at_files,
    own_path,
    synapse_reader,
    unstarted,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    play,
    prove,
)

_EARLIER = "10-earlier.yaml"
_NOTE = "# Written by the Ansible module matrix_ops.synapse.synapse_config, which overwrites what is changed here.\n"

Settings = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class _Step:
    """A declaration and the settings in force after it (`settings` itself, unless `effective` is set).

    `was`: the settings of a previous run, with the other files `was_beside`; `files`: files that are written after it.
    `further`: other parameters of the task. `reload`: whether a reload is enough.
    """

    name: str
    settings: Settings
    effective: Settings | None = None
    changed_keys: tuple[str, ...] = ()
    was: Settings | None = None
    was_beside: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    further: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    changes: bool = True
    reload: bool = False

    def expectation(self) -> Expectation:
        """Return it as an expectation for `prove`."""
        return Expectation(
            self.name,
            "synapse_config",
            lambda place: declared(place, settings=self.settings, **self.further),
            prepare=self._prepare,
            changes=self.changes,
            state=look_at_files,
            returns=lambda place: {
                "changed_keys": list(self.changed_keys),
                "restart_required": bool(self.changed_keys) and not self.reload,
                "reload_required": bool(self.changed_keys) and self.reload,
            },
            token=False,
        )

    def _prepare(self, place: Place) -> None:
        write_configuration(place)
        write_beside(place, self.was_beside)
        if self.was is not None:
            configure(place, settings=self.was, merge=self.further.get("merge", False))
        write_beside(place, self.files)


_CACHES = "caches: {global_factor: 1.0, expire_caches: false, per_cache_factors: {get_user_by_id: 3}}\n"
_CACHES_SINCE = "caches: {global_factor: 1.0, expire_caches: true}\n"
_ODD: Settings = {
    "odd": {
        "texts": ["yes", "no", "null", "~", "1", "1.0", "0640", "12:30:45", "2026-01-01", "- a", "a: b", "a #b", " b "],
        "deeper": {
            "*stateGroupCache*": 1.5,
            "": 1,
            "a.b": "é\n\t'\"\\ 🐘",
            "list": [[], {}],
            "none": None,
        },
        "numbers": [1, 1.0, 1.0e30, True, False],
    }
}
_ODD_KEYS = (
    "odd.deeper.",
    "odd.deeper.*stateGroupCache*",
    "odd.deeper.a.b",
    "odd.deeper.list",
    "odd.deeper.none",
    "odd.numbers",
    "odd.texts",
)
_FACTOR: Settings = {"caches": {"global_factor": 2.0}}
_IN_FORCE: Settings = {"caches": {"global_factor": 2.0, "expire_caches": True}}

STEPS = (
    _Step("a new file", {"presence": {"enabled": False}}, changed_keys=("presence.enabled",)),
    _Step(
        "the same word with another type",
        {"example": {"enabled": "false"}},
        was={"example": {"enabled": False}},
        changed_keys=("example.enabled",),
    ),
    _Step(
        "another key instead of the previous one",
        _FACTOR,
        was={"presence": {"enabled": False}},
        changed_keys=("caches.global_factor", "presence.enabled"),
    ),
    _Step(
        "values that YAML would read as another type",
        _ODD,
        was=_FACTOR,
        changed_keys=("caches.global_factor", *_ODD_KEYS),
    ),
    _Step(
        "a key of an earlier file, whose other settings have no effect any more",
        _FACTOR,
        was=_ODD,
        files={_EARLIER: _CACHES},
        changed_keys=(
            "caches.expire_caches",
            "caches.global_factor",
            "caches.per_cache_factors.get_user_by_id",
            *_ODD_KEYS,
        ),
    ),
    _Step(
        "a key of an earlier file, merged into a file without its settings",
        {"caches": {"global_factor": 2.0, "per_cache_factors": {"get_users_in_room": 4}}},
        was=_FACTOR,
        files={_EARLIER: _CACHES},
        further={"merge": True},
        effective={
            "caches": {
                "global_factor": 2.0,
                "expire_caches": False,
                "per_cache_factors": {"get_user_by_id": 3, "get_users_in_room": 4},
            }
        },
        changed_keys=(
            "caches.expire_caches",
            "caches.per_cache_factors.get_user_by_id",
            "caches.per_cache_factors.get_users_in_room",
        ),
    ),
    _Step(
        "an earlier file that has changed since",
        _FACTOR,
        was={"caches": {"global_factor": 2.0, "per_cache_factors": {"get_users_in_room": 4}}},
        was_beside={_EARLIER: _CACHES},
        files={_EARLIER: _CACHES_SINCE},
        further={"merge": True},
        effective=_IN_FORCE,
        changed_keys=(
            "caches.expire_caches",
            "caches.per_cache_factors.get_user_by_id",
            "caches.per_cache_factors.get_users_in_room",
        ),
    ),
    _Step(
        "merged without settings in earlier files",
        _FACTOR,
        further={"merge": True},
        changed_keys=("caches.global_factor",),
    ),
    _Step("a value that is in force already", _IN_FORCE, was=_IN_FORCE, changes=False),
    _Step(
        "a value that an earlier file already sets",
        _IN_FORCE,
        files={_EARLIER: "caches: {global_factor: 2.0, expire_caches: true}\n"},
    ),
    _Step("another mode", _IN_FORCE, was=_IN_FORCE, further={"mode": "0600"}),
    _Step(
        "settings that a reload applies",
        {"caches": {"global_factor": 3.0, "per_cache_factors": {"get_user_by_id": 2}}},
        was=_FACTOR,
        changed_keys=("caches.global_factor", "caches.per_cache_factors.get_user_by_id"),
        reload=True,
    ),
    _Step(
        "a file that is not valid YAML any more",
        _FACTOR,
        files={_EARLIER: _CACHES_SINCE, OWN_NAME: f"{_NOTE}caches: {{global_factor: [\n"},
        changed_keys=("caches.expire_caches", "caches.global_factor"),
    ),
    _Step(
        "a file that the module did not write, with force",
        _FACTOR,
        files={_EARLIER: _CACHES_SINCE, OWN_NAME: "# Important.\ncaches: {global_factor: 2.0}\n"},
        further={"force": True},
    ),
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


@pytest.fixture(scope="module")
def reader() -> t.Iterator[SynapseReader]:
    with synapse_reader() as started:
        yield started


def _exactly(settings: t.Any) -> str:
    """Return settings as text in which 1, 1.0 and true are different."""
    return json.dumps(settings, sort_keys=True)


@pytest.mark.parametrize("step", [pytest.param(step, id=step.name) for step in STEPS])
def test_declared(place: Place, reader: SynapseReader, step: _Step) -> None:
    done = prove(place, step.expectation())
    read = reader.says(place.server.config_path)
    assert done["config"].keys() == {"path", "settings"}
    assert done["config"]["path"] == own_path(place)
    assert attributes_of(own_path(place))["mode"] == step.further.get("mode", "0640")
    effective = done["config"]["settings"]
    assert _exactly(effective) == _exactly({key: value for key, value in read.items() if key in effective})
    assert _exactly(effective) == _exactly(step.effective or step.settings)
    assert configure(place, settings=step.settings, **step.further)["changed_keys"] == []


def _with_secrets(place: Place) -> None:
    write_configuration(place)
    configure(place, settings=_MAIL, secrets=_SECRETS)


def _secrets(password: str) -> Settings:
    return {"email": {"smtp_pass": password}, "modules": [{"module": "hush.module", "config": {"x": "hush-second"}}]}


_MAIL: Settings = {"email": {"smtp_host": "mail.test", "notif_from": "a@mail.test", "smtp_pass_path": None}}
_SECRETS = _secrets("hush-first")
# A second run shows hidden values without the mark of new ones, so that each test compares it itself.
_secret = functools.partial(
    Expectation,
    module="synapse_config",
    state=look_at_files,
    repeatable=False,
    token=False,
    secrets=("hush",),
)


def _require_nothing_to_do(place: Place, parameters: Settings) -> None:
    before = look_at_files(place)
    again = play(place, "synapse_config", parameters, token=False)
    assert not again.get("failed"), again
    assert not again["changed"], again
    assert (again["steps"], again["changed_keys"]) == ([], [])
    assert not again["restart_required"]
    assert not again["reload_required"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert "hush" not in json.dumps(again)
    assert look_at_files(place) == before


def _require_read(place: Place, reader: SynapseReader, secrets: Settings) -> None:
    read = reader.says(place.server.config_path)
    assert read["email"] == {**_MAIL["email"], **secrets["email"]}
    assert read["modules"] == secrets["modules"]


def test_secrets_are_written_and_shown_nowhere(place: Place, reader: SynapseReader) -> None:
    case = _secret(
        "secrets",
        parameters=lambda place: declared(place, settings=_MAIL, secrets=_SECRETS),
        prepare=write_configuration,
        returns=lambda place: {
            "changed_keys": [
                "email.notif_from",
                "email.smtp_host",
                "email.smtp_pass",
                "email.smtp_pass_path",
                "modules",
            ],
            "config": {
                "path": own_path(place),
                "settings": {"email": {**_MAIL["email"], "smtp_pass": "(hidden)"}, "modules": "(hidden)"},
            },
        },
    )
    prove(place, case)
    assert attributes_of(own_path(place))["mode"] == "0640"
    _require_nothing_to_do(place, case.parameters(place))
    _require_read(place, reader, _SECRETS)


def test_another_secret_is_seen_to_change(place: Place, reader: SynapseReader) -> None:
    case = _secret(
        "another secret",
        parameters=lambda place: declared(place, settings=_MAIL, secrets=_secrets("hush-third")),
        prepare=_with_secrets,
        returns=lambda place: {"changed_keys": ["email.smtp_pass"]},
    )
    done = prove(place, case)
    before, after = (done["diff"][when]["in_force"] for when in ("before", "after"))
    assert before["email"]["smtp_pass"] == "(hidden)"
    assert after["email"]["smtp_pass"] == "(hidden, new)"
    assert after["modules"] == done["config"]["settings"]["modules"] == "(hidden)"
    _require_nothing_to_do(place, case.parameters(place))
    _require_read(place, reader, _secrets("hush-third"))


def test_secrets_that_are_removed_are_hidden_too(place: Place) -> None:
    # Ansible hides no_log values in a result. Here no secret is declared, so that only the file contains its name.
    case = _secret("no secrets", parameters=lambda place: declared(place, state="absent"), prepare=_with_secrets)
    done = prove(place, case)
    assert done["diff"]["before"]["file"]["settings"]["modules"] == "(hidden)"
    _require_nothing_to_do(place, case.parameters(place))


def _two_files(place: Place) -> None:
    write_configuration(place)
    write_beside(place, {_EARLIER: _CACHES})
    configure(place, settings={**_FACTOR, "presence": {"enabled": False}})


def test_a_drop_in_is_removed(place: Place, reader: SynapseReader) -> None:
    keys = ["caches.expire_caches", "caches.global_factor", "caches.per_cache_factors.get_user_by_id"]
    earlier = {"global_factor": 1.0, "expire_caches": False, "per_cache_factors": {"get_user_by_id": 3}}
    case = _secret(
        "absent",
        parameters=lambda place: declared(place, state="absent"),
        prepare=_two_files,
        returns=lambda place: {
            "changed_keys": [*keys, "presence.enabled"],
            "config": {"path": own_path(place), "settings": {"caches": earlier}},
            "restart_required": True,
            "reload_required": False,
        },
    )
    done = prove(place, case)
    assert done["diff"]["after"]["file"] is None
    assert not Path(own_path(place)).exists()
    read = reader.says(place.server.config_path)
    assert (read["caches"], "presence" in read) == (earlier, False)
    _require_nothing_to_do(place, case.parameters(place))


def test_a_missing_drop_in_is_already_absent(place: Place) -> None:
    case = _secret(
        "absent already",
        parameters=lambda place: declared(place, state="absent"),
        prepare=write_configuration,
        changes=False,
        returns=lambda place: {
            "config": {"path": own_path(place), "settings": {}},
            "changed_keys": [],
            "restart_required": False,
            "reload_required": False,
        },
    )
    prove(place, case)
