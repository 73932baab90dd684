# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import pwd
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import (
    Reader,
    proven_reader,
    reader_named,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils import attacker

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwuid(65534).pw_name
SYNAPSE = Reader("synapse", 990, 980, frozenset({980, 981}))
OLD_PACKAGE = Reader("synapse", 990, 65534, frozenset({65534}))
WITHOUT_NAME = Reader("990", 990, None, frozenset())


@pytest.fixture
def open_place() -> t.Iterator[pathlib.Path]:
    with attacker.open_place() as place:
        yield place


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "readable"),
    [
        (0o640, 0, 0, False),
        (0o644, 0, 0, True),
        (0o640, 0, 980, True),
        (0o640, 0, 981, True),
        (0o604, 0, 980, False),
        (0o400, 990, 0, True),
        # The kernel uses the first class of users that matches.
        (0o077, 990, 980, False),
    ],
)
def test_may_read(mode: int, uid: int, gid: int, readable: bool) -> None:
    assert SYNAPSE.may_read(Attributes(mode, uid, gid)) is readable
    assert Reader("root", 0, 0, frozenset({0})).may_read(Attributes(mode, uid, gid))


class TestLetIn:
    @pytest.mark.parametrize(
        ("reader", "before", "after"),
        [
            (SYNAPSE, (0o640, 0, 0), (0o640, 0, 980)),
            (SYNAPSE, (0o644, 0, 0), (0o644, 0, 0)),
            (SYNAPSE, (0o640, 0, 981), (0o640, 0, 981)),
            (SYNAPSE, (0o600, 0, 0), (0o600, 990, 0)),
            (OLD_PACKAGE, (0o640, 0, 0), (0o640, 990, 0)),
            (WITHOUT_NAME, (0o640, 0, 0), (0o640, 990, 0)),
            # Nothing helps.
            (SYNAPSE, (0o200, 0, 0), (0o200, 0, 0)),
        ],
    )
    def test_by_the_group_or_else_the_owner(
        self, reader: Reader, before: tuple[int, int, int], after: tuple[int, int, int]
    ) -> None:
        found = reader.let_in(Attributes(*before), owner_is_free=True, group_is_free=True)
        assert found == Attributes(*after)

    @pytest.mark.parametrize("gid", [0, 65534])
    def test_not_by_the_group_of_root_or_of_nobody(self, monkeypatch: pytest.MonkeyPatch, gid: int) -> None:
        monkeypatch.setattr(pwd, "getpwall", list)
        user = Reader("synapse", 990, gid, frozenset({gid}))
        found = user.let_in(Attributes(0o640, 0, 4711), owner_is_free=True, group_is_free=True)
        assert found == Attributes(0o640, 990, 4711)

    def test_by_what_is_free_alone(self) -> None:
        closed = Attributes(0o640, 0, 0)
        assert SYNAPSE.let_in(closed, owner_is_free=True, group_is_free=False) == Attributes(0o640, 990, 0)
        assert SYNAPSE.let_in(closed, owner_is_free=False, group_is_free=True) == Attributes(0o640, 0, 980)
        assert SYNAPSE.let_in(closed, owner_is_free=False, group_is_free=False) == closed
        assert OLD_PACKAGE.let_in(closed, owner_is_free=False, group_is_free=True) == closed

    def test_not_by_a_group_that_another_account_has_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def user(uid: int) -> pwd.struct_passwd:
            return pwd.struct_passwd(("a", "x", uid, 980, "", "/", ""))

        closed = Attributes(0o640, 0, 0)
        monkeypatch.setattr(pwd, "getpwall", lambda: [user(990)])
        assert SYNAPSE.let_in(closed, owner_is_free=True, group_is_free=True).gid == 980
        monkeypatch.setattr(pwd, "getpwall", lambda: [user(990), user(1000)])
        assert SYNAPSE.let_in(closed, owner_is_free=True, group_is_free=True) == Attributes(0o640, 990, 0)


def test_a_new_file_is_not_for_all_who_have_no_group() -> None:
    assert SYNAPSE.keeping_secrets(Attributes(0o640, 990, 65534)) == Attributes(0o640, 990, 0)
    assert SYNAPSE.keeping_secrets(Attributes(0o640, 990, 980)) == Attributes(0o640, 990, 980)


def test_require_readable_says_what_to_set() -> None:
    SYNAPSE.require_readable(Attributes(0o640, 0, 980), "/etc/a")
    with pytest.raises(InvalidInput) as caught:
        SYNAPSE.require_readable(Attributes(0o640, 0, 0), "/etc/a")
    assert str(caught.value) == (
        "/etc/a with mode 0640, owner root and group root could not be read by synapse, the user of Synapse, so"
        " that Synapse would not start again: set group to 980, or owner to synapse, with a mode that allows it to read"
        " the file, or set none of the three."
    )
    with pytest.raises(InvalidInput, match="start again: set owner to synapse, with"):
        OLD_PACKAGE.require_readable(Attributes(0o640, 0, 0), "/etc/a")


class TestTheKernelIsAsked:
    def test_of_another_user(self, open_place: pathlib.Path) -> None:
        nobody = reader_named(NOBODY)
        inside = open_place / "inside"
        inside.mkdir(mode=0o700)
        # Only root can change to another user to find out.
        assert nobody.can(str(inside), os.X_OK) is (False if ROOT else None)
        if ROOT:
            with pytest.raises(
                InvalidInput, match=f"^{NOBODY}, the user of Synapse, may not enter {inside}, and therefore"
            ):
                nobody.require_way(str(inside / "conf.d"), listed=False)
        nobody.require_way(str(open_place), listed=True)
        inside.chmod(0o711)
        nobody.require_way(str(inside), listed=False)
        if ROOT:
            with pytest.raises(InvalidInput, match=f"may not enter {inside}"):
                nobody.require_way(str(inside), listed=True)

    def test_of_oneself(self, tmp_path: pathlib.Path) -> None:
        own = Reader("me", os.geteuid(), os.getegid(), frozenset(os.getgroups()))
        assert own.can(str(tmp_path), os.R_OK) is True
        assert own.can(str(tmp_path / "none"), os.R_OK) is False

    def test_in_vain_where_nobody_else_can_be_become(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_groups: list[int]) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "setgroups", fail)
        assert SYNAPSE.can(str(tmp_path), os.R_OK) is None


def test_reader_named() -> None:
    found = reader_named(NOBODY)
    assert (found, found.uid) == (reader_named("65534"), 65534)
    assert found.gid in found.groups
    assert reader_named("3999999") == Reader("3999999", 3999999, None, frozenset())
    with pytest.raises(InvalidInput, match="^synapse_user no_such does not exist on this host: check the spelling"):
        reader_named("no_such")


class TestProvenReader:
    @pytest.fixture
    def key(self, open_place: pathlib.Path) -> pathlib.Path:
        key = open_place / "x.test.signing.key"
        key.touch()
        key.chmod(0o600)
        if ROOT:
            os.chown(key, 65534, -1)
        return key

    @pytest.mark.parametrize("named", [True, False])
    def test_reads_the_signing_key(self, key: pathlib.Path, named: bool) -> None:
        owner = pwd.getpwuid(key.stat().st_uid).pw_name
        settings = {"signing_key_path": str(key)} if named else {"server_name": "x.test"}
        found = proven_reader(["3999999", owner], configuration(key.parent, settings))
        assert found == reader_named(owner)

    def test_pretends(self, key: pathlib.Path) -> None:
        assert proven_reader(["3999999"], configuration(key.parent, {"server_name": "x.test"})) is None
        key.chmod(0o644)
        assert proven_reader(["3999999"], configuration(key.parent, {"server_name": "x.test"})) is None

    @pytest.mark.parametrize(
        "settings", [{}, {"server_name": "y.test"}, {"server_name": 5}, {"signing_key_path": "x.test.signing.key"}]
    )
    def test_has_nothing_to_prove_it_with(self, key: pathlib.Path, settings: dict[str, t.Any]) -> None:
        owner = pwd.getpwuid(key.stat().st_uid).pw_name
        assert proven_reader([owner], configuration(key.parent, settings)) is None


def configuration(directory: pathlib.Path, settings: dict[str, t.Any]) -> Configuration:
    return Configuration((ConfigurationFile(str(directory / "homeserver.yaml"), settings),))
