# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup that a reset makes raises the old server again."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import play
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import MODULE, declare, media
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored


@pytest.mark.parametrize("engine", servers.ENGINES)
def test_restored(engine: str, tmp_path: Path) -> None:
    with servers.own_servers(engine) as [server]:
        old = Restored(server, tmp_path)
        old.fill()
        tables = ("users", "rooms", "events", "e2e_device_keys_json")
        counts = {table: server.rows(f"SELECT COUNT(*) FROM {table}") for table in tables}
        server.forget_database()
        place = Place(server, secrets.token_hex(4), tmp_path)
        reset = play(place, MODULE, declare(place, purge_media=True), token=False)
        assert reset["changed"], reset
        assert media(server) == 0
        old.archive = reset["database_reset"]["backup"]
        old.wipe()
        done = old.run()
        assert done.get("changed"), done
        assert {table: server.rows(f"SELECT COUNT(*) FROM {table}") for table in tables} == counts
        for media_id, content in old.media.items():
            assert old.downloaded(media_id) == content
        assert server.log_in(server.user_id("anna"), "anna-secret", "AFTER")
