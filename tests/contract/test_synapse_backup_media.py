# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Media in several directories, of which one is in another one or is another one, come back as they were, each once."""

from __future__ import annotations

import collections
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored


def _configure(made: Restored, store: Path, provider: Path) -> None:
    """Let the server keep its media in `store`, and copies of them in `provider`."""
    path = Path(made.server.config_path[0])
    configuration = yaml.safe_load(path.read_text())
    configuration["media_store_path"] = str(store)
    configuration["media_storage_providers"] = [
        {
            "module": "file_system",
            # Synapse fails if it has to copy a file to itself.
            **{"store_local": store.resolve() != provider.resolve(), "store_remote": True, "store_synchronous": True},
            "config": {"directory": str(provider)},
        }
    ]
    path.write_text(yaml.safe_dump(configuration))
    servers.restart(made.server)


def _files(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory, without other directories of media and links in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not {"inner", "elsewhere"} & {*path.relative_to(directory).parts}
    }


@pytest.mark.parametrize(
    ("store", "provider"),
    [
        ("media/inner", "media"),
        ("media", "media/inner"),
        ("linked", "media"),
        ("media", "linked"),
        ("same", "media"),
        ("media", "same"),
    ],
)
def test_two_directories(tmp_path: Path, store: str, provider: str) -> None:
    with servers.own_servers("sqlite") as [server]:
        made = Restored(server, tmp_path)
        media = made.place / "media"
        (media / "elsewhere").mkdir(parents=True)
        # The name of a directory in the other one, which the setting names by a link, and of the other one itself.
        (made.place / "linked").symlink_to(media / "elsewhere")
        (made.place / "same").symlink_to(media)
        places = [made.place / store, made.place / provider]
        _configure(made, *places)
        made.fill()
        before = [_files(place.resolve()) for place in places]
        assert all(before)
        made.back_up()
        with tarfile.open(made.archive) as archive:
            stored = [member.name for member in archive if member.name.startswith("media/")]
        counted = collections.Counter(name.split("/", 2)[2] for name in stored)
        is_same = "same" in (store, provider)
        assert set(counted) == set(before[0])
        assert set(counted.values()) == {1 if is_same else 2}

        made.wipe()
        predicted = made.run(check=True)
        assert not predicted.get("failed"), predicted
        done = made.run()
        assert not done.get("failed"), done
        assert done["steps"] == predicted["steps"]
        assert not places[0].is_symlink()
        assert _files(places[0]) == before[0]
        if not is_same:
            assert _files(places[1]) == before[1]
        assert {media_id: made.downloaded(media_id) for media_id in made.media} == made.media
        # What only the storage provider has is found there, too.
        if not is_same:
            for path in places[0].iterdir():
                if path.name not in ("inner", "elsewhere"):
                    shutil.rmtree(path)
            assert {media_id: made.downloaded(media_id) for media_id in made.media} == made.media
