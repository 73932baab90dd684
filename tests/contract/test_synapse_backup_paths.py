# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths and configurations that backups and restores refuse, in check mode and in a run, with one clear sentence."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import DIRECTORY
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored

_FIX = "Set an absolute path without .. and control characters."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Restored]:
    """A server that runs, and its backup."""
    with servers.own_servers("sqlite") as [server]:
        made = Restored(server, tmp_path_factory.mktemp("paths"))
        made.back_up()
        yield made


def _declared(made: Restored, **changed: t.Any) -> dict[str, t.Any]:
    given = {
        "dest_directory": f"{made.directory}/more",
        "config_path": made.server.config_path,
        "working_directory": made.server.directory,
        "synapse_python": made.server.python,
        "manager": "daemon",
        "environment_files": [],
        "margin": "1M",
    }
    return {**given, **changed}


def _refused(module: str, parameters: dict[str, t.Any], message: str) -> None:
    for check in (True, False):
        result = run_module(module, parameters, check=check, diff=True)
        assert result.get("failed"), result
        assert message in result["msg"], result["msg"]
        assert not result["changed"]


_ANY_MODULE = [
    ({"config_path": ["homeserver.yaml"]}, f"config_path contains 'homeserver.yaml'. {_FIX}"),
    ({"config_path": [""]}, f"config_path contains an empty path. {_FIX}"),
    ({"working_directory": "synapse"}, f"working_directory is 'synapse'. {_FIX}"),
    ({"working_directory": "~no-such-user/x"}, f"working_directory is '~no-such-user/x'. {_FIX}"),
    ({"working_directory": "/srv/../etc"}, f"working_directory is '/srv/../etc'. {_FIX}"),
    ({"working_directory": "/etc/hostname"}, "working_directory /etc/hostname is not a directory"),
    ({"synapse_python": "python3"}, f"synapse_python is 'python3'. {_FIX}"),
    ({"synapse_python": ""}, f"synapse_python is empty. {_FIX}"),
    ({"age_identity_path": "key"}, f"age_identity_path is 'key'. {_FIX}"),
    ({"gpg_home": "gnupg"}, f"gpg_home is 'gnupg'. {_FIX}"),
]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *_ANY_MODULE,
        ({"dest_directory": ""}, f"dest_directory is empty. {_FIX}"),
        ({"dest_directory": "backups"}, f"dest_directory is 'backups'. {_FIX}"),
        ({"dest_directory": "/etc/hostname"}, "/etc/hostname is not a directory"),
        ({"dest_directory": "/usr/no-such-directory"}, "/usr/no-such-directory is /usr, a directory of the system"),
        ({"extra_paths": [""]}, f"extra_paths contains an empty path. {_FIX}"),
        ({"optional_paths": ["x"]}, f"optional_paths contains 'x'. {_FIX}"),
        ({"environment_files": ["x"]}, f"environment_files contains 'x'. {_FIX}"),
        ({"synapse_python": "/etc"}, "synapse_python /etc does not run a Python with Synapse"),
        # What nothing could start is no backup of a server.
        ({"manager": "systemd", "unit": "no-such.service"}, "systemd has no unit no-such.service on this host"),
    ],
)
def test_paths_of_a_backup(made: Restored, changed: dict[str, t.Any], message: str) -> None:
    _refused("synapse_backup", _declared(made, **changed), message)
    assert not (made.directory / "more").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *_ANY_MODULE,
        ({"src": ""}, f"src is empty. {_FIX}"),
        ({"src": "backup.tar"}, f"src is 'backup.tar'. {_FIX}"),
        ({"src": "/etc"}, "/etc is not a file. Set the path of a backup."),
        ({"allowed_paths": ["x"]}, f"allowed_paths contains 'x'. {_FIX}"),
        ({"allowed_paths": [""]}, f"allowed_paths contains an empty path. {_FIX}"),
    ],
)
def test_paths_of_a_restore(made: Restored, changed: dict[str, t.Any], message: str) -> None:
    _refused("synapse_restore", made.parameters(**changed), message)
    if "src" in changed:
        _refused("synapse_backup_info", {"src": changed["src"]}, message)


def test_paths_in_another_form(made: Restored) -> None:
    config_path = [made.server.config_path[0], f"{made.server.config_path[1]}//"]
    declared = _declared(made, config_path=config_path, working_directory=f"{made.server.directory}/", max_age="0")
    result = run_module(
        "synapse_backup", {**declared, "age_identity_path": "", "dest_directory": f"{made.directory}/b/"}
    )
    assert not result.get("failed"), result
    found = run_module("synapse_backup_info", {"src": f"{result['backup']['path']}/"})
    assert found["backup"]["service"]["config_path"] == made.server.config_path
    assert found["backup"]["service"]["working_directory"] == made.server.directory
    # It is refused only because the server is there.
    _refused("synapse_restore", made.parameters(src=result["backup"]["path"]), "This host has the data of a server")


def test_an_obstacle_to_the_copy_of_the_database(made: Restored) -> None:
    obstacle = made.place / DIRECTORY
    obstacle.write_text("mine")
    _refused("synapse_backup", _declared(made), f"{obstacle} is not a directory of a backup. Move it away.")
    assert not (made.directory / "more").exists()
    assert obstacle.read_text() == "mine"
    obstacle.unlink()


def test_several_databases(made: Restored, tmp_path: Path) -> None:
    main = yaml.safe_load(Path(made.server.config_path[0]).read_text())
    database = main.pop("database")
    stores = {name: {**database, "data_stores": [name]} for name in ("main", "state")}
    several = tmp_path / "several.yaml"
    several.write_text(yaml.safe_dump({**main, "databases": stores}))
    declared = _declared(made, config_path=[str(several)])
    _refused(
        "synapse_backup", declared, f"{several} sets several databases, which cannot be backed up in one consistent"
    )
    several.write_text(yaml.safe_dump({**main, "databases": {"main": stores["main"]}}))
    _refused("synapse_backup", declared, f"None of the databases in {several} has the data store state.")
