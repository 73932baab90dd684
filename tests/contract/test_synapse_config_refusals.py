# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of synapse_config. They need no running Synapse."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    declared,
    look_at_files,
    own_path,
    unstarted,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named, prove_refusal

_refusal = functools.partial(
    Refusal, module="synapse_config", prepare=write_configuration, state=look_at_files, token=False, secrets=("hush",)
)


def _path_of(name: str) -> t.Callable[[Place], Parameters]:
    """Declare a setting in a file with this name in the directory of drop-ins."""
    return lambda place: declared(place, path=f"{place.server.config_path[1]}/{name}", settings={"a": 1})


def _below(place: Place, missing: str) -> Parameters:
    """Declare a drop-in in a directory that does not exist."""
    directory = f"{place.directory}/{missing}"
    return {"path": f"{directory}/own.yaml", "settings": {"a": 1}}


def _say(**parameters: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: declared(place, **parameters)


def _with(**files: str) -> t.Callable[[Place], None]:
    """Prepare more files, given by their names without the extension."""

    def prepare(place: Place) -> None:
        write_configuration(place)
        write_beside(place, {f"{name}.yaml": text for name, text in files.items()})

    return prepare


def _with_link(place: Place) -> None:
    write_configuration(place)
    Path(own_path(place)).symlink_to("rate_limits.yaml")


REFUSALS = (
    _refusal("nothing", parameters=_say(), message="settings and secrets are both empty"),
    _refusal(
        "a file that Synapse does not read",
        parameters=lambda place: declared(place, path=f"{place.directory}/elsewhere.yaml", settings={"a": 1}),
        message=r"Synapse would not read .*/elsewhere\.yaml: it reads .*/homeserver\.yaml, .*/conf\.d",
    ),
    _refusal(
        "a file with another ending",
        parameters=_path_of("50-own.yml"),
        message=r"Synapse would not read .*/50-own\.yml.*names end with \.yaml",
    ),
    _refusal(
        "a key that a later file replaces",
        parameters=_say(settings={"rc_message": {"per_second": 1}}),
        message=r"rc_message in .*/50-own\.yaml would have no effect: .*/rate_limits\.yaml after it",
    ),
    _refusal(
        "a file that the module did not write",
        parameters=_path_of("rate_limits.yaml"),
        message=r"/rate_limits\.yaml was not written by this module.*force=true",
    ),
    _refusal(
        "the removal of a file that the module did not write",
        parameters=lambda place: declared(place, path=place.server.config_path[0], state="absent"),
        message=r"/homeserver\.yaml was not written by this module",
    ),
    _refusal(
        "a directory that does not exist",
        parameters=lambda place: declared(
            place,
            config_path=[place.server.config_path[0], f"{place.directory}/missing.d"],
            **_below(place, "missing.d"),
        ),
        message=r"/missing\.d in config_path does not exist .* Synapse does not start without it",
    ),
    _refusal(
        "a host without Synapse",
        parameters=lambda place: declared(
            place,
            config_path=[f"{place.directory}/missing/homeserver.yaml", f"{place.directory}/missing/conf.d"],
            **_below(place, "missing/conf.d"),
        ),
        message="does not exist .*: install Synapse or create it first",
    ),
    _refusal(
        "a setting that is also a secret",
        parameters=_say(settings={"a": {"b": 1}}, secrets={"a": {"b": "hush-in-vain"}}),
        message=r"a\.b is in settings and in secrets",
    ),
    _refusal(
        "secrets that all users could read",
        parameters=_say(secrets={"a": "hush-in-vain"}, mode="0644"),
        message="mode 0644 would let every user of the host read the secrets",
    ),
    _refusal(
        "a mode in letters",
        parameters=_say(settings={"a": 1}, mode="u=rw"),
        message="is not a file mode: write its octal digits in quotes",
    ),
    _refusal(
        "a mode without its first digit and without quotes",
        parameters=_say(settings={"a": 1}, mode=640),
        message='mode 640 is not a file mode: write its octal digits in quotes, like "0640"',
    ),
    _refusal(
        "an owner that does not exist",
        parameters=_say(settings={"a": 1}, owner="no_such_user"),
        message="owner no_such_user does not exist on this host",
    ),
    _refusal(
        "a relative path",
        parameters=_say(path="conf.d/50-own.yaml", settings={"a": 1}),
        message=r"path conf\.d/50-own\.yaml is not absolute: set an absolute path",
    ),
    _refusal(
        "a directory in place of a file",
        parameters=lambda place: declared(place, path=place.server.config_path[1], settings={"a": 1}),
        message=r"/conf\.d is a directory: set the path of a file in it",
    ),
    _refusal(
        "a link in place of a file",
        prepare=_with_link,
        parameters=_say(settings={"a": 1}),
        message=r"/50-own\.yaml is a symbolic link: use the path of its target instead",
    ),
    _refusal(
        "an earlier file that is not valid YAML",
        prepare=_with(**{"10-earlier": "password: hush-in-a-file\ncaches: {global_factor: [\n"}),
        parameters=_say(settings={"a": 1}),
        message=r"/10-earlier\.yaml",
    ),
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
