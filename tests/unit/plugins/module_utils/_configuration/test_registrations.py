# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A registration is read as Synapse reads it, and one with which Synapse does not start is named."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
    Registration,
    read_registration,
    read_registrations,
    registration_paths,
)

VALID: dict[str, t.Any] = {"id": "irc", "as_token": "secret", "sender_localpart": "bot", "namespaces": {}}


def read(directory: pathlib.Path, content: t.Any) -> Registration:
    path = directory / "irc.yaml"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_registration(str(path), "x.org")


def spaces(*entries: t.Any) -> dict[str, t.Any]:
    return {**VALID, "namespaces": {"aliases": list(entries)}}


def test_knows_the_service(tmp_path: pathlib.Path) -> None:
    found = read(tmp_path, VALID)
    assert (found.service_id, found.sender, found.token, found.aliases) == ("irc", "@bot:x.org", "secret", ())
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("alias", "exclusive"),
    [
        ("#irc_x:x.org", True),
        ("#IRC_x:x.org", True),
        ("#my_irc_x:x.org", None),
        ("#irc_open:x.org", False),
        ("#irc_open_not:x.org", False),
    ],
)
def test_the_first_namespace_counts(tmp_path: pathlib.Path, alias: str, exclusive: bool | None) -> None:
    entries = ({"regex": "#irc_open", "exclusive": False}, {"regex": "(?i)#irc_.*", "exclusive": True})
    namespace = read(tmp_path, spaces(*entries)).namespace_of(alias)
    assert (namespace and namespace.exclusive) == exclusive
    for kind, sigil in (("users", "@"), ("aliases", "#")):
        listed = [{**entry, "regex": str(entry["regex"]).replace("#", sigil)} for entry in entries]
        service = read(tmp_path, {**VALID, "namespaces": {kind: listed}})
        assert service.owns(alias.replace("#", sigil)) is bool(exclusive)


def test_owns_its_user(tmp_path: pathlib.Path) -> None:
    service = read(tmp_path, VALID)
    names = ["@bot:x.org", "@bot:x.orgs", "@bots:x.org", "#bot:x.org"]
    assert [name for name in names if service.owns(name)] == ["@bot:x.org"]


def test_the_others_are_known_if_one_cannot_be_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "irc.yaml").write_text(json.dumps(VALID))
    settings = {"server_name": "x.org", "app_service_config_files": ["gone.yaml", "irc.yaml"]}
    found, problems = read_registrations(Configuration((ConfigurationFile("/a.yaml", settings),)), str(tmp_path))
    assert [service.service_id for service in found] == ["irc"]
    assert ["gone.yaml does not exist" in problem.message for problem in problems] == [True]


def test_none_is_known_if_the_setting_is_no_list() -> None:
    settings = {"server_name": "x.org", "app_service_config_files": "irc.yaml"}
    found, [problem] = read_registrations(Configuration((ConfigurationFile("/a.yaml", settings),)))
    assert found == ()
    assert "is not a list of paths" in problem.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "id must be text"),
        ({**VALID, "id": 1}, "id must be text"),
        ({**VALID, "as_token": None}, "as_token must be text"),
        ({"id": "irc", "as_token": "secret"}, "sender_localpart must be text"),
        ({**VALID, "namespaces": None}, "namespaces must be a mapping"),
        ({**VALID, "namespaces": {"aliases": None}}, "namespaces.aliases must be a list"),
        (spaces("#irc_.*"), "each entry in namespaces.aliases"),
        (spaces({"regex": "#irc_.*", "exclusive": "true"}), "each entry in namespaces.aliases"),
        (spaces({"regex": ["#irc_.*"], "exclusive": True}), "each entry in namespaces.aliases"),
        (spaces({"regex": "#irc_[", "exclusive": True}), "the regex '#irc_\\[' in namespaces.aliases is not valid"),
    ],
)
def test_one_that_synapse_does_not_start_with_is_named(tmp_path: pathlib.Path, content: t.Any, reason: str) -> None:
    with pytest.raises(
        errors.ConfigurationError, match=rf"/irc\.yaml is not a valid registration .*: {reason}"
    ) as caught:
        read(tmp_path, content)
    assert "secret" not in caught.value.message


def test_one_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"/gone\.yaml does not exist.*in app_service_config_files"):
        read_registration(str(tmp_path / "gone.yaml"), "x.org")


@pytest.mark.parametrize("listed", ["irc.yaml", [1], {"irc": "irc.yaml"}])
def test_paths_must_be_a_list(listed: t.Any) -> None:
    configuration = Configuration((ConfigurationFile("/a.yaml", {"app_service_config_files": listed}),))
    with pytest.raises(errors.ConfigurationError, match="app_service_config_files in /a.yaml is not a list of paths"):
        registration_paths(configuration)


@pytest.mark.parametrize("settings", [{}, {"app_service_config_files": None}])
def test_there_may_be_none(settings: t.Any) -> None:
    assert registration_paths(Configuration((ConfigurationFile("/a.yaml", settings),))) == []


def test_relative_paths_start_from_the_working_directory() -> None:
    settings = {"app_service_config_files": ["irc.yaml", "/etc/other.yaml"]}
    configuration = Configuration((ConfigurationFile("/a.yaml", settings),))
    assert registration_paths(configuration, "/srv") == ["/srv/irc.yaml", "/etc/other.yaml"]
