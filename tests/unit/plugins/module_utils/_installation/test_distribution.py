# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The installed packages are read from the files of a real pip, and of an interrupted one."""

from __future__ import annotations

import json
import pathlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.distribution import read_packages

WHOLE = "a.py,,\na-1.0.dist-info/INSTALLER,sha256=x,4\n"


def put(environment: pathlib.Path, name: str, **files: str) -> pathlib.Path:
    directory = environment / "lib" / "python3.98" / "site-packages" / name
    directory.mkdir(parents=True)
    for file, text in files.items():
        (directory / file.replace("__", ".")).write_text(text)
    return directory


def test_a_package_is_there_when_it_is_whole(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "matrix_synapse-1.163.2.dist-info", RECORD=WHOLE, REQUESTED="")
    put(tmp_path, "half-1.0.dist-info", METADATA="Name: half", REQUESTED="")
    put(tmp_path, "wheel_only-1.0.dist-info", RECORD="a.py,,\n")
    put(tmp_path, "Twisted-25.5.0.dist-info", RECORD=WHOLE)
    packages = read_packages(str(tmp_path), "3.98")
    keys = ("matrix-synapse", "half", "wheel-only", "twisted", "missing")
    assert [packages.version(key) for key in keys] == ["1.163.2", None, None, "25.5.0", None]
    assert packages.interrupted == ("half", "wheel-only")
    assert read_packages(str(tmp_path), "3.99").found == ()


def test_what_pip_had_put_aside(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "~wisted-24.1.0.dist-info", RECORD=WHOLE)
    packages = read_packages(str(tmp_path), "3.98")
    assert (packages.found, packages.interrupted) == ((), ("~wisted-24.1.0.dist-info",))


def test_what_somebody_had_asked_for_is_kept(tmp_path: pathlib.Path) -> None:
    for name in ("matrix_synapse-1.163.2", "pip-25.0", "setuptools-70", "lxml-5.0"):
        put(tmp_path, f"{name}.dist-info", RECORD=WHOLE, REQUESTED="")
    put(tmp_path, "needed_by_others-1.0.dist-info", RECORD=WHOLE)
    sources = {
        "from_git": {"url": "https://u:hush@x.test/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
        "from_file": {"url": "file:///srv/a.whl", "archive_info": {}},
        "broken": {"vcs_info": {}},
    }
    for name, source in sources.items():
        put(tmp_path, f"{name}-1.0.dist-info", RECORD=WHOLE, REQUESTED="", direct_url__json=json.dumps(source))
    put(tmp_path, "odd-1.0.dist-info", RECORD=WHOLE, REQUESTED="", direct_url__json="[")
    assert read_packages(str(tmp_path), "3.98").kept({"matrix-synapse"}) == [
        "broken==1.0",
        "from-file @ file:///srv/a.whl",
        "from-git @ git+https://x.test/a.git@abc",
        "lxml==5.0",
        "odd==1.0",
    ]
