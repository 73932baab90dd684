# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_surroundings import (
    read_surroundings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput


@pytest.fixture
def configuration(tmp_path: pathlib.Path) -> list[str]:
    """Return the paths of a configuration of one file and one directory with two files."""
    (tmp_path / "homeserver.yaml").write_text("a: main\nb: main\n")
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "10-first.yaml").write_text("b: first\nc: first\n")
    (directory / "90-last.yaml").write_text("c: last\n")
    (directory / "README").write_text("no YAML: [")
    return [str(tmp_path / "homeserver.yaml"), str(directory)]


@pytest.mark.parametrize(
    ("name", "earlier", "later"),
    [
        ("50-own.yaml", {"a": "main", "b": "first", "c": "first"}, {"c": "last"}),
        ("00-own.yaml", {"a": "main", "b": "main"}, {"b": "first", "c": "last"}),
        ("99-own.yaml", {"a": "main", "b": "first", "c": "last"}, {}),
        ("10-first.yaml", {"a": "main", "b": "main"}, {"c": "last"}),
    ],
)
def test_what_is_read_before_and_after(
    configuration: list[str], name: str, earlier: dict[str, str], later: dict[str, str]
) -> None:
    around = read_surroundings(configuration, os.path.join(configuration[1], name))
    assert around.earlier.settings == earlier
    assert around.later.settings == later


def test_a_path_may_be_written_in_another_way(configuration: list[str]) -> None:
    directory = configuration[1]
    around = read_surroundings([configuration[0], directory + "/"], f"{directory}/../conf.d/50-own.yaml")
    assert around.later.settings == {"c": "last"}


def test_a_single_file_need_not_exist(configuration: list[str], tmp_path: pathlib.Path) -> None:
    own = str(tmp_path / "own.cfg")
    around = read_surroundings([configuration[0], own, configuration[1]], own)
    assert around.earlier.settings == {"a": "main", "b": "main"}
    assert around.later.settings == {"b": "first", "c": "last"}


def test_a_file_that_is_read_several_times_counts_once(configuration: list[str]) -> None:
    # The last time counts.
    path = os.path.join(configuration[1], "50-own.yaml")
    around = read_surroundings([*configuration, *configuration], path)
    assert [os.path.basename(file.path) for file in around.later.files] == ["90-last.yaml"]
    assert around.earlier.settings == {"a": "main", "b": "first", "c": "first"}
    with open(path, "w", encoding="utf-8") as file:
        file.write("d: own\n")
    assert read_surroundings([*configuration, *configuration], path) == around


@pytest.mark.parametrize("name", ["05-link.yaml", "60-link.yaml"])
def test_a_link_to_a_file_is_the_same_file(configuration: list[str], name: str) -> None:
    path = os.path.join(configuration[1], "50-own.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a: own\n")
    os.symlink("50-own.yaml", os.path.join(configuration[1], name))
    around = read_surroundings(configuration, path)
    assert (around.earlier.settings, around.later.settings) == (
        {"a": "main", "b": "first", "c": "first"},
        {"c": "last"},
    )


def test_effective_settings(configuration: list[str]) -> None:
    around = read_surroundings(configuration, os.path.join(configuration[1], "50-own.yaml"))
    assert around.effective({"a": "own", "c": "own", "d": "own"}, {"a", "b", "c", "d", "e"}) == {
        "a": "own",
        "b": "first",
        "c": "last",
        "d": "own",
    }
    assert around.effective({}, {"a"}) == {"a": "main"}


@pytest.mark.parametrize("name", ["conf.d/own.yml", "conf.d/deeper/own.yaml", "own.yaml", "conf.d/README"])
def test_a_path_that_synapse_would_not_read_is_refused(
    configuration: list[str], tmp_path: pathlib.Path, name: str
) -> None:
    with pytest.raises(InvalidInput, match=f"Synapse would not read .*{name}: it reads .*homeserver.yaml, .*conf.d"):
        read_surroundings(configuration, str(tmp_path / name))


def test_a_missing_directory_is_named(configuration: list[str], tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "absent.d")
    with pytest.raises(
        ConfigurationError, match=r"absent\.d in config_path does not exist .* does not start without it"
    ):
        read_surroundings([configuration[0], missing], os.path.join(missing, "own.yaml"))


def test_broken_and_unreadable_files_are_named(configuration: list[str]) -> None:
    broken = os.path.join(configuration[1], "20-broken.yaml")
    with open(broken, "w", encoding="utf-8") as file:
        file.write("secret: hush\na: ]\n")
    with pytest.raises(ConfigurationError, match=r"20-broken\.yaml is not valid YAML, line 2") as caught:
        read_surroundings(configuration, os.path.join(configuration[1], "50-own.yaml"))
    assert "hush" not in caught.value.message


def test_what_is_no_path_is_named(configuration: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"'a\\x00b' \(config_path\) is not a path"):
        read_surroundings([*configuration, "a\0b"], os.path.join(configuration[1], "50-own.yaml"))
