# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.signing_key import (
    SigningKey,
    find_signing_key,
)

OLD_KEY = "ed25519 a_old 4qgZ0Bj3hP2VMYcMvvk8rpSB1Rl0aGHn0uFZ+Ib4jpA\n"


def found(directory: pathlib.Path, working_directory: str | None = None, **settings: t.Any) -> SigningKey:
    path = directory / "homeserver.yaml"
    path.write_text(json.dumps({"server_name": "new.example:8448", **settings}))
    return find_signing_key(read_configuration([str(path)]), "old.example", working_directory)


def test_replaced_and_put_back(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "signing.key"
    file.write_text(OLD_KEY)
    file.chmod(0o640)
    key = found(tmp_path, signing_key_path=str(file))
    key.require_replaceable()
    assert not key.is_replaced()
    key.replace()
    assert key.is_replaced()
    algorithm, version, seed = file.read_text().split()
    assert (algorithm, version[:2], len(version)) == ("ed25519", "a_", 6)
    assert len(base64.b64decode(seed + "=")) == 32
    assert file.read_text() != OLD_KEY
    assert file.stat().st_mode & 0o777 == 0o640
    assert pathlib.Path(key.old_path).read_text() == OLD_KEY
    assert os.path.basename(key.old_path) == "signing.key.of-old.example"
    new = file.read_text()
    key.replace()
    assert file.read_text() == new
    key.put_back()
    key.put_back()
    assert file.read_text() == OLD_KEY
    assert not key.is_replaced()


def test_the_default_path_has_the_new_server_name(tmp_path: pathlib.Path) -> None:
    assert found(tmp_path).path == str(tmp_path / "new.example:8448.signing.key")


def test_the_default_path_is_next_to_the_last_file(tmp_path: pathlib.Path) -> None:
    files = [tmp_path / "homeserver.yaml", tmp_path / "conf.d" / "a.yaml"]
    files[1].parent.mkdir()
    files[0].write_text("server_name: new.example")
    files[1].write_text("report_stats: false")
    key = find_signing_key(read_configuration([str(file) for file in files]), "old.example")
    assert key.path == str(tmp_path / "conf.d" / "new.example.signing.key")


def test_a_relative_path(tmp_path: pathlib.Path) -> None:
    assert found(tmp_path, "/srv", signing_key_path="a.key").path == "/srv/a.key"
    with pytest.raises(ConfigurationError, match="Set working_directory"):
        found(tmp_path, signing_key_path="a.key")


def test_a_key_in_the_configuration(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="which this module does not change") as raised:
        found(tmp_path, signing_key=OLD_KEY.strip())
    assert "4qgZ0B" not in raised.value.message


def test_no_key(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no signing key"):
        found(tmp_path).require_replaceable()


def test_a_name_with_a_slash_stays_in_the_directory(tmp_path: pathlib.Path) -> None:
    assert SigningKey(str(tmp_path / "a.key"), "../b/c").old_path == str(tmp_path / "a.key.of-..%2Fb%2Fc")


def test_a_name_that_is_too_long_for_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.key").write_text("ed25519 a_1 key")
    with pytest.raises(InvalidInput, match="is too long for the name of a file. Set new_signing_key: false"):
        SigningKey(str(tmp_path / "a.key"), "a" * 248).require_replaceable()
    SigningKey(str(tmp_path / "a.key"), "a" * 246).require_replaceable()


def test_key_of_an_earlier_change_of_the_name(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "signing.key"
    file.write_text(OLD_KEY)
    key = found(tmp_path, signing_key_path=str(file))
    # What a run leaves that is killed between the two.
    pathlib.Path(key.old_path).write_text(OLD_KEY)
    assert not key.is_replaced()
    key.require_replaceable()
    pathlib.Path(key.old_path).write_text("another key")
    with pytest.raises(InvalidInput, match=r"is the signing key of an earlier change of the server name"):
        key.require_replaceable()
