# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with an odd but valid configuration comes back from its backup."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored


def test_everything_in_one_directory(tmp_path: Path) -> None:
    with servers.own_servers("sqlite") as [server]:
        made = Restored(server, tmp_path)
        made.fill()
        servers.halt(server)
        path = Path(server.config_path[0])
        configuration = yaml.safe_load(path.read_text())
        # The media are where the database and the configuration are, and the path of the database is a long way round.
        for each in (made.place / "media_store").iterdir():
            each.rename(made.place / each.name)
        (made.place / "media_store").rmdir()
        configuration["media_store_path"] = f"{made.place}/"
        configuration["database"]["args"]["database"] = f"{made.place}/.//homeserver.db"
        path.write_text(yaml.safe_dump(configuration))
        # Synapse does not make the directory of its log file.
        (made.place / "logs").mkdir(0o700)
        log_config = made.place / "log_config.yaml"
        log_config.write_text(log_config.read_text().replace(server.log, f"{made.place}/logs/homeserver.log"))
        servers.restart(server)
        made.back_up()
        with tarfile.open(made.archive) as archive:
            names = archive.getnames()
        assert not [name for name in names if "homeserver.db" in name or "homeserver.yaml" in name]
        made.wipe()
        assert not made.run(check=True).get("failed")
        done = made.run()
        assert not done.get("failed"), done
        assert server.rows("SELECT count(*) FROM e2e_one_time_keys_json") == [(0,)]
        assert {media_id: made.downloaded(media_id) for media_id in made.media} == made.media
        assert os.path.isdir(made.place / "logs")
        assert not made.run()["changed"]


@pytest.mark.parametrize("engine", servers.ENGINES)
def test_databases_with_one_entry(engine: str, tmp_path: Path) -> None:
    with servers.own_servers(engine) as [server]:
        made = Restored(server, tmp_path)
        made.fill()
        path = Path(server.config_path[0])
        configuration = yaml.safe_load(path.read_text())
        database = configuration.pop("database")
        path.write_text(yaml.safe_dump({**configuration, "databases": {"all": database}}))
        servers.restart(server)
        made.back_up()
        made.wipe()
        assert not made.run(check=True).get("failed")
        done = made.run()
        assert not done.get("failed"), done
        assert done["restore"]["proven"]["login"] == 1
