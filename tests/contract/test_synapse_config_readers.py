# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The owner and group that synapse_config sets, so that the user of Synapse can read a file. Only root can set them."""

from __future__ import annotations

import dataclasses
import functools
import os
import pwd
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    OWN_NAME,
    attributes_of,
    configure,
    declared,
    look_at_files,
    unstarted,
    write,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    prove,
    prove_refusal,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners and mount file systems"),
    # A pytest worker has threads, unlike the process in which Ansible runs a module.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

# The directories with their owners and modes.
_DIRECTORIES = {"conf.d": ("root", 0o755), "closed.d": ("root", 0o700), "open.d": ("root", 0o777)}
_FOREIGN = {"foreign.d": ("daemon", 0o755)}
_READ_ONLY = "read_only.d"


@dataclasses.dataclass(frozen=True)
class _Reader:
    """A user of Synapse, the owner of the main configuration, and the expected owner of the drop-in."""

    name: str
    user: str
    owner: str
    group: str
    directory: str = "conf.d"
    model: tuple[str, str | int, int] = ("root", "root", 0o644)

    def expectation(self) -> Expectation:
        """Return it as an expectation for `prove`."""
        return Expectation(
            self.name,
            "synapse_config",
            lambda place: _in(place, self.directory, settings={"a": 1}, synapse_user=self.user),
            prepare=self._prepare,
            state=look_at_files,
            returns=lambda place: {"changed_keys": ["a"]},
            token=False,
        )

    def _prepare(self, place: Place) -> None:
        owner, group, mode = self.model
        main = Path(place.server.config_path[0])
        shutil.chown(main, owner, group)
        main.chmod(mode)


# The group daemon has only one user; the user nobody has a shared group, like users of old packages.
READERS = (
    _Reader("a configuration of root's, a user with a group of its own", "daemon", "root", "daemon"),
    _Reader("a configuration of root's, a user without one", "nobody", "nobody", "root"),
    _Reader(
        "a configuration of that user's, as an old package leaves it",
        "nobody",
        "nobody",
        "root",
        model=("nobody", 65534, 0o640),
    ),
    _Reader("a directory of that user's", "daemon", "root", "daemon", directory="foreign.d"),
    _Reader("a configuration of root's, Synapse as root", "root", "root", "root", directory="closed.d"),
)


def _in(place: Place, directory: str, **parameters: t.Any) -> Parameters:
    """Declare the drop-in in this directory, instead of the one of the place."""
    around = f"{place.directory}/{directory}"
    return declared(place, config_path=[place.server.config_path[0], around], path=f"{around}/{OWN_NAME}", **parameters)


def _refusal(name: str, directory: str, message: str, **parameters: t.Any) -> Refusal:
    return Refusal(
        name,
        "synapse_config",
        lambda place: _in(place, directory, settings={"a": 1}, **parameters),
        message,
        state=look_at_files,
        token=False,
    )


REFUSALS = (
    _refusal(
        "an owner and a group without permission for Synapse",
        "conf.d",
        r"50-own\.yaml with mode 0640, owner root and group root could not be read by daemon"
        ".*set group to daemon, or owner",
        synapse_user="daemon",
        owner="root",
        group="root",
    ),
    _refusal(
        "an owner and a group without permission for a user without its own group",
        "conf.d",
        "could not be read by nobody.*: set owner to nobody",
        synapse_user="nobody",
        owner="root",
        group="root",
    ),
    _refusal(
        "a mode without read permission",
        "conf.d",
        "with mode 0200.* could not be read by daemon",
        synapse_user="daemon",
        mode="0200",
    ),
    _refusal(
        "a directory that Synapse may not enter",
        "closed.d",
        r"daemon, the user of Synapse, may not enter .*/closed\.d",
        synapse_user="daemon",
    ),
    _refusal(
        "a user that does not exist",
        "conf.d",
        "synapse_user no_such_user does not exist on this host",
        synapse_user="no_such_user",
    ),
    _refusal(
        "a group that does not exist",
        "conf.d",
        "group no_such_group does not exist on this host",
        synapse_user="daemon",
        group="no_such_group",
    ),
    _refusal(
        "a directory of a user other than Synapse",
        "foreign.d",
        r"/foreign\.d belongs to daemon, who could exchange what root writes there",
        synapse_user="nobody",
    ),
    _refusal(
        "a directory of another user, without synapse_user",
        "foreign.d",
        r"/foreign\.d belongs to daemon, who could exchange what root writes there",
    ),
    _refusal(
        "a directory that all users may write to",
        "open.d",
        r"every user may write to .*/open\.d, and could exchange what root writes there",
        synapse_user="daemon",
    ),
    _refusal(
        "a link that another user could change",
        "foreign.d/link.d",
        r"/foreign\.d/link\.d is a symbolic link that another user could change",
        synapse_user="daemon",
    ),
)


@pytest.fixture
def place() -> t.Iterator[Place]:
    """A place that other users can enter, unlike the directories of pytest."""
    with tempfile.TemporaryDirectory(suffix=".synapse_config") as made:
        directory = Path(made)
        directory.chmod(0o755)
        for name, (owner, mode) in (_DIRECTORIES | _FOREIGN).items():
            (directory / name).mkdir()
            shutil.chown(directory / name, owner)
            (directory / name).chmod(mode)
        (directory / "foreign.d" / "link.d").symlink_to(directory / "conf.d")
        write(directory / "homeserver.yaml", "server_name: readers.test\n", 0o644)
        yield unstarted(directory)


@pytest.fixture
def disk(place: Place) -> t.Iterator[Place]:
    """The place with a directory that is a separate file system."""
    directory = place.directory / _READ_ONLY
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", directory], check=True)


def _seal(place: Place, **parameters: t.Any) -> None:
    """Write a drop-in to the file system, and then mount it read-only."""
    configure(place, **_in(place, _READ_ONLY, **parameters))
    subprocess.run(["mount", "-o", "remount,ro", place.directory / _READ_ONLY], check=True)


def _read_as(user: str, path: str) -> str:
    """Return the content of a file as this user reads it."""
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    done = subprocess.run(
        ["cat", path],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=groups,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("reader", [pytest.param(reader, id=reader.name) for reader in READERS])
def test_the_user_of_synapse_can_read_it(place: Place, reader: _Reader) -> None:
    done = prove(place, reader.expectation())
    path = done["config"]["path"]
    assert attributes_of(path) == {"owner": reader.owner, "group": reader.group, "mode": "0640"}
    assert "a: 1" in _read_as(reader.user, path)
    removed = configure(place, **_in(place, reader.directory, synapse_user=reader.user, state="absent"))
    assert removed["changed"]
    assert not Path(path).exists()


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


_declared = functools.partial(Expectation, module="synapse_config", state=look_at_files, token=False)


def test_an_owner_is_declared(place: Place) -> None:
    case = _declared(
        "an owner",
        parameters=lambda place: _in(place, "conf.d", settings={"a": 1}, owner="nobody"),
    )
    assert attributes_of(prove(place, case)["config"]["path"])["owner"] == "nobody"


def test_an_owner_is_declared_for_an_existing_file(place: Place) -> None:
    case = _declared(
        "an owner later",
        parameters=lambda place: _in(place, "conf.d", settings={"a": 1}, owner="nobody", group="daemon"),
        prepare=lambda place: configure(place, **_in(place, "conf.d", settings={"a": 1})),
        returns=lambda place: {"changed_keys": [], "restart_required": False, "reload_required": False},
    )
    done = prove(place, case)
    attributes = attributes_of(done["config"]["path"])
    assert (attributes["owner"], attributes["group"]) == ("nobody", "daemon")


def test_a_file_keeps_its_owner(place: Place) -> None:
    case = _declared(
        "a kept owner",
        parameters=lambda place: _in(place, "conf.d", settings={"a": 1}),
        prepare=lambda place: configure(place, **_in(place, "conf.d", settings={"a": 1}, owner="nobody")),
        changes=False,
    )
    assert attributes_of(prove(place, case)["config"]["path"])["owner"] == "nobody"


def test_nothing_to_change_on_a_read_only_disk(disk: Place) -> None:
    case = _declared(
        "nothing to do",
        parameters=lambda place: _in(place, _READ_ONLY, settings={"a": 1}),
        prepare=lambda place: _seal(place, settings={"a": 1}, owner="nobody"),
        changes=False,
    )
    assert attributes_of(prove(disk, case)["config"]["path"])["owner"] == "nobody"


@pytest.mark.parametrize("declared_there", [{"settings": {"a": 2}}, {"state": "absent"}], ids=["changed", "absent"])
def test_a_read_only_disk_is_refused(disk: Place, declared_there: Parameters) -> None:
    case = Refusal(
        "a disk that is read-only",
        "synapse_config",
        lambda place: _in(place, _READ_ONLY, **declared_there),
        r"/read_only\.d is on .* mounted read-only",
        prepare=lambda place: _seal(place, settings={"a": 1}),
        state=look_at_files,
        token=False,
    )
    prove_refusal(disk, case)
