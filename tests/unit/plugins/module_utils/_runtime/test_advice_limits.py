# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.bad_server import (
    FOUND,
    advised,
    changed,
)


def test_an_old_version() -> None:
    advice = advised(FOUND)["version"]
    assert advice["evidence"] == ["main (process 7) runs Synapse 1.100.0."]
    assert advice["variables"] == {"synapse_homeserver_version": "1.163.0"}
    assert "version" not in advised(FOUND, oldest_version="1.100.0")
    only_server = advised(changed({"version": None}))["version"]
    assert only_server["evidence"] == ["The server runs Synapse 1.100.0."]
    assert "version" not in advised(changed({"version": "1.163.2"}, server=None))


def test_an_old_process_next_to_a_new_one_is_restarted() -> None:
    found = changed()
    found["processes"].append({"name": "worker", "pid": 8, "version": "1.164.0"})
    advice = advised(found)["version"]
    assert "Restart these processes, because others already run Synapse 1.164.0" in advice["advice"]
    assert advice["variables"] == {}


def test_jemalloc() -> None:
    assert advised(FOUND)["jemalloc"]["variables"] == {"synapse_jemalloc_state": "present"}
    assert "jemalloc" not in advised(changed({"jemalloc": {"loaded": True}}))
    assert "jemalloc" not in advised(changed({"jemalloc": None}))
    assert "jemalloc" not in advised(FOUND, memory_without_jemalloc_bytes=3 * 1024**3)


def test_only_one_of_two_workers_has_loaded_jemalloc() -> None:
    memory = {"resident_bytes": 1024**3}
    with_it = {"name": "w1", "pid": 8, "memory": memory, "jemalloc": {"loaded": True}}
    without = {"name": "w2", "pid": 9, "memory": memory, "jemalloc": {"loaded": False}}
    advice = advised({"processes": [with_it, without]})["jemalloc"]
    assert advice["evidence"] == ["w2 (process 9) uses 1024 MiB of memory and has not loaded jemalloc."]
    assert advice["advice"].endswith(" Other processes have loaded it, so it may be enough to restart these.")
    assert "Other processes" not in advised(FOUND)["jemalloc"]["advice"]


def test_sqlite_with_transactions_that_wait() -> None:
    assert advised(changed(database_engine="sqlite3"))["database_engine"]["evidence"] == [
        "The configuration sets the database sqlite3, which is only for trying Synapse out.",
        "A transaction of main (process 7) waits 0.500 seconds on average for a connection to the database.",
    ]
    assert len(advised({"database_engine": "sqlite3", "processes": [{}]})["database_engine"]["evidence"]) == 1


def test_presence() -> None:
    advice = advised(FOUND)["presence"]
    assert advice["variables"] == {"synapse_presence_mode": "disabled"}
    assert advice["evidence"] == [
        "Presence is enabled. main (process 7) handles 10000 updates of presence and sends 5000 messages with presence"
        " to other servers per minute, and uses 95 % of a processor core."
    ]
    assert "presence" not in advised(changed(presence_settings={"mode": "untracked"}))
    assert "presence" not in advised(changed(presence_settings=None))
    assert "presence" not in advised(changed({"presence_settings": {"mode": "disabled"}}))
    assert "presence" not in advised(changed({"uptime_seconds": 500}))
    # What is measured now has priority.
    rates = {"presence_updates_per_minute": 5, "presence_edus_sent_per_minute": 0}
    assert "presence" not in advised(changed({"rates": rates}))


def test_the_limit_of_open_files() -> None:
    advice = advised(FOUND)["file_limit"]
    assert advice["variables"] == {"synapse_file_limits_nofile": 16384}
    assert advice["evidence"] == [
        "main (process 7) has 900 of 1024 files open (87.9 %), 100 more than 2.0 hours ago, and reaches the limit in"
        " 2.5 hours at this rate."
    ]
    few = {"open_files": 500}
    assert "file_limit" in advised(changed(few))
    assert "file_limit" not in advised(changed({**few, "growth": {"seconds": 600, "open_files": 100}}))
    assert "file_limit" not in advised(changed({**few, "growth": {"seconds": 7200, "open_files": -100}}))
    assert "file_limit" not in advised(changed({**few, "growth": {"seconds": 7200, "open_files": 10}}))
    assert "file_limit" not in advised(changed({"file_limits": {}}))
    # A server opens many files in its first hours, and then no more.
    assert "file_limit" not in advised(changed({"open_files": 300, "growth": {"seconds": 3600, "open_files": 200}}))
    large = advised(changed({"open_files": 50_000, "file_limits": {"soft": 65_536}}))["file_limit"]
    assert large["variables"] == {"synapse_file_limits_nofile": 131_072}
