# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.ignored_files import find_ignored


def write(path: pathlib.Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a: 1\n")
    return str(path)


def test_files_that_synapse_does_not_read(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "conf.d"
    wrong = [write(directory / name) for name in ("10-a.yml", "20-b.YAML", "30-c.Yml", "40-d.yaml.txt", "50 e.yml")]
    write(directory / "60-f.yaml")
    found = find_ignored([str(tmp_path / "homeserver.yaml"), str(directory)])
    assert [path for path, _message in found] == sorted(wrong)
    assert found[0][1] == (
        f"Synapse does not read {directory}/10-a.yml: in a directory it only reads files whose names end with .yaml."
        f" Rename it to {directory}/10-a.yaml if it belongs to the configuration, or move it away."
    )
    for name in ("20-b.yaml", "30-c.yaml", "40-d.yaml", "50 e.yaml"):
        assert any(f"Rename it to {directory}/{name} if" in message for _path, message in found)


def test_files_that_nobody_means(tmp_path: pathlib.Path) -> None:
    for name in (
        *("a.yaml~", "a.yaml.bak", "a.yml.bak2", "a.yml.disabled", "a.yaml.orig", "a.yaml.dpkg-old", "a.yml.off"),
        *(".a.yml", ".a.yaml.swp", "README", "a.signing.key", "log.config", "a.txt", "#a.yml#"),
        *("sub/README", "sub/.a.yaml", ".git/a.yaml", "old.disabled/a.yaml", "conf.d.bak/a.yaml"),
    ):
        write(tmp_path / "conf.d" / name)
    assert find_ignored([str(tmp_path / "conf.d")]) == []


def test_a_directory_inside(tmp_path: pathlib.Path) -> None:
    for name in ("sub/a.yaml", "sub/b.yaml", "other.yaml/c.yml", "deep/er/d.yaml"):
        write(tmp_path / "conf.d" / name)
    found = find_ignored([str(tmp_path / "conf.d")])
    assert [os.path.basename(path) for path, _message in found] == ["other.yaml", "sub"]
    assert "does not look into directories" in found[0][1]
    # Unless Synapse is given it too.
    given = [str(tmp_path / "conf.d"), str(tmp_path / "conf.d" / "sub")]
    assert [os.path.basename(path) for path, _message in find_ignored(given)] == ["other.yaml"]


def test_a_file_that_is_given_itself(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "conf.d" / "a.yml")
    assert find_ignored([str(tmp_path / "conf.d"), path]) == []


def test_no_regular_file(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "a.yaml").symlink_to(tmp_path / "missing.yaml")
    os.mkfifo(directory / "b.yaml")
    (directory / "c.yaml").symlink_to(write(tmp_path / "there.yaml"))
    found = dict(find_ignored([str(directory)]))
    assert set(found) == {f"{directory}/a.yaml", f"{directory}/b.yaml"}
    assert "it is a symbolic link to a file that does not exist" in found[f"{directory}/a.yaml"]
    assert "it is not a regular file" in found[f"{directory}/b.yaml"]


def test_what_cannot_be_listed(tmp_path: pathlib.Path) -> None:
    assert find_ignored(["/nonexistent/conf.d", str(tmp_path / "homeserver.yaml"), "/dev/null"]) == []
