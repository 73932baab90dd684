# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    group_name,
    parse_mode,
    require_allowed,
    user_id,
    user_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


@pytest.mark.parametrize(
    ("mode", "bits"), [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), (0o644, 0o644), ("0", 0)]
)
def test_parse_mode(mode: str | int, bits: int) -> None:
    assert parse_mode(mode) == bits


@pytest.mark.parametrize(
    "bits", [0o400, 0o440, 0o444, 0o600, 0o640, 0o644, 0o660, 0o664, 0o700, 0o750, 0o755, 0o770, 0o775, 0o777]
)
def test_usual_modes_are_read_with_and_without_quotes(bits: int) -> None:
    assert parse_mode(bits) == parse_mode(f"{bits:o}") == parse_mode(f"{bits:04o}") == bits


@pytest.mark.parametrize(
    "mode", ["u=rw", "", "0888", "preserve", "1777", -1, 640000, "-640", True, False, None, 416.0, [1], {"a": 1}]
)
def test_parse_mode_refuses_what_is_none(mode: t.Any) -> None:
    with pytest.raises(InvalidInput, match="octal digits in quotes"):
        parse_mode(mode)


@pytest.mark.parametrize("mode", [400, 440, 444, 600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777])
def test_parse_mode_refuses_octal_digits_that_were_read_as_decimal(mode: int) -> None:
    with pytest.raises(InvalidInput, match=f'^mode {mode} .* octal digits in quotes, like "0{mode}"'):
        parse_mode(mode)


def test_names_and_numbers_of_owners() -> None:
    assert user_id("root") == 0
    assert user_id("12345") == 12345
    assert group_id("0") == 0
    assert (user_name(0), user_name(3999999)) == ("root", "3999999")
    assert group_name(3999999) == "3999999"


@pytest.mark.parametrize("name", ["no_such_user", "²", "4294967295", "-1", "a\0b"])
def test_owners_that_do_not_exist(name: str) -> None:
    with pytest.raises(InvalidInput, match="^owner .* does not exist on this host: check the spelling"):
        user_id(name)
    with pytest.raises(InvalidInput, match="^group .* does not exist on this host"):
        group_id(name)


def test_given_to_what_is_open_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    path.rename(tmp_path / "b")
    path.touch(0o644)
    wanted = Attributes(0o600, os.geteuid(), os.getegid())
    wanted.give(descriptor)
    os.close(descriptor)
    assert Attributes.of((tmp_path / "b").stat()) == wanted
    assert path.stat().st_mode & 0o777 == 0o644
    assert wanted.shown()["mode"] == "0600"


def test_only_root_gives_files_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "getegid", lambda: 4242)
    monkeypatch.setattr(os, "getgroups", lambda: [4343])
    require_allowed(Attributes(0o600, 4242, 4343), "/etc/a")
    with pytest.raises(InvalidInput, match="/etc/a cannot get the owner root: only root can set it"):
        require_allowed(Attributes(0o600, 0, 4242), "/etc/a")
    with pytest.raises(InvalidInput, match="cannot get the group root"):
        require_allowed(Attributes(0o600, 4242, 0), "/etc/a")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    require_allowed(Attributes(0o600, 1, 2), "/etc/a")
