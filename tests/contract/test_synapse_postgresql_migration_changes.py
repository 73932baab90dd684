# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changes between the two passes of a move, or fails after the stop: nothing of it is lost."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import move as move_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import Switch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Running
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.daemon_service import DaemonService
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.moving import Moving, moving

pytestmark = pytest.mark.xdist_group("migration changes")


def _add_old_pusher(moved: Moving, number: int) -> None:
    """One that is older than the column `enabled`, as old accounts are older than `approved`: for Synapse, both are."""
    moved.server.write(
        "INSERT INTO pushers (id, user_name, profile_tag, kind, app_id, app_display_name, device_display_name, pushkey,"
        " ts, enabled) VALUES (?, ?, '', 'http', 'an.app', 'An app', 'A phone', ?, 1, NULL)",
        *(number, moved.made["alice"], f"key {number}"),
    )
    moved.server.write(f"UPDATE users SET approved = NULL WHERE rowid = {number}")


def _change_everything(moved: Moving) -> None:
    """What people do in the hour between the passes, and what Synapse itself does to rows."""
    server, made = moved.server, moved.made
    _add_old_pusher(moved, 2)
    server.send("POST", f"/_synapse/admin/v1/reset_password/{made['bob']}", {"new_password": "a new password of bob"})
    carol = server.make_account("carol", password="a password of carol")
    server.send("PUT", f"/_synapse/admin/v2/users/{carol}", {"deactivated": True})
    path = f"/_matrix/client/v3/rooms/{made['room']}"
    server.send("PUT", f"{path}/redact/{made['first']}/one", {}, made["token"])
    server.send("POST", f"{path}/leave", {}, server.speaking_as(made["bob"]))
    server.send("POST", f"/_matrix/client/v3/rooms/{made['room']}/forget", {}, server.speaking_as(made["bob"]))
    server.write("UPDATE event_json SET json = json || ' ' WHERE event_id = ?", made["first"])
    # The number of a removed row is used again by SQLite.
    server.write("DELETE FROM event_search WHERE docid = (SELECT max(docid) FROM event_search)")
    made["newest"] = moved.message("the newest message")
    [(number,)] = server.rows("SELECT max(rowid) FROM redactions")
    server.write("DELETE FROM stream_ordering_to_exterm")
    server.write("UPDATE redactions SET rowid = rowid + 100 WHERE rowid = ?", number)
    # Removed and inserted again, with a number that the last pass copies.
    [row] = server.rows("SELECT * FROM room_memberships ORDER BY rowid LIMIT 1")
    server.write("DELETE FROM room_memberships WHERE event_id = ?", row[0])
    server.write(f"INSERT INTO room_memberships VALUES ({', '.join('?' for _value in row)})", *row)
    # Delivered: the position of the stream is ahead of the table.
    server.write("INSERT INTO stream_positions VALUES ('to_device', 'master', 5000)")


def test_changed_between_the_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving() as moved:
        _add_old_pusher(moved, 1)
        sample = Passes.sample

        def changed_sample(self: Passes) -> t.Any:
            _change_everything(moved)
            return sample(self)

        monkeypatch.setattr(Passes, "sample", changed_sample)
        done = moved.run()
        assert done.get("changed"), done
        assert moved.differing() == {}
        assert moved.ask("SELECT count(*) FROM pushers WHERE enabled IS NULL") == [(2,)]
        assert moved.ask("SELECT count(*) FROM users WHERE approved IS NULL") == [(2,)]
        searchable = {row[0] for row in moved.source_rows("SELECT event_id FROM event_search")}
        assert {row[0] for row in moved.ask("SELECT event_id FROM event_search")} == searchable
        assert moved.made["newest"] in searchable
        assert moved.ask("SELECT count(*) FROM stream_ordering_to_exterm") == [(0,)]
        assert moved.server.accepts(moved.made["bob"], "a new password of bob")
        [(position,)] = moved.ask("SELECT last_value FROM device_inbox_sequence")
        assert position >= 5000
        # It takes new rows of everything.
        assert moved.message("after the move")


def _failing(_moved: Moving, monkeypatch: pytest.MonkeyPatch) -> str:
    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise SynapseError("The disk is full.")

    monkeypatch.setattr(Passes, "last", fail)
    return "The disk is full. Synapse runs with SQLite as before"


def _missing_rows(moved: Moving, monkeypatch: pytest.MonkeyPatch) -> str:
    recount = Passes._require_equal

    def lose(self: Passes, path: str, expected: t.Any, found: t.Any) -> None:
        # The first pass has its own copy.
        lost = {**found, "users": found["users"] - 1} if path.endswith("last.db") else found
        recount(self, path, expected, lost)

    monkeypatch.setattr(Passes, "_require_equal", lose)
    del moved
    return "Not everything was copied to"


def _locked_out(moved: Moving, monkeypatch: pytest.MonkeyPatch) -> str:
    write = Switch.write

    def lock_out(self: Switch) -> None:
        write(self)
        servers.shared_server("postgresql").write(f"ALTER ROLE {moved.target['user']} NOLOGIN")

    monkeypatch.setattr(Switch, "write", lock_out)
    return "Synapse runs with SQLite as before"


def _other_sample(_moved: Moving, monkeypatch: pytest.MonkeyPatch) -> str:
    def differ(sample: t.Any, client: t.Any, *, login: bool = True) -> SampleCheck:
        del sample, client
        return SampleCheck(["The event $1 is missing."] if login else [], [], {})

    monkeypatch.setattr(move_module, "check_sample", differ)
    return "does not show what it showed before. The event $1 is missing. Synapse runs with SQLite as before"


def _started_by_others(moved: Moving, monkeypatch: pytest.MonkeyPatch) -> str:
    last = Passes.last

    def start(self: Passes, *arguments: t.Any) -> t.Any:
        found = last(self, *arguments)
        servers.restart(moved.server)
        return found

    monkeypatch.setattr(Passes, "last", start)
    return "Synapse was started by something else while"


_CAUSES = (_failing, _missing_rows, _locked_out, _other_sample, _started_by_others)


def test_failed_after_the_stop_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving() as moved:
        for cause in _CAUSES:
            with monkeypatch.context() as patched:
                message = cause(moved, patched)
                failed = moved.run()
            assert failed.get("failed"), failed
            assert message in failed["msg"], failed["msg"]
            assert not moved.dropin.exists()
            assert moved.answers()
            assert moved.message("written after the failure")
            servers.shared_server("postgresql").write(f"ALTER ROLE {moved.target['user']} LOGIN")
        done = moved.run()
        assert done.get("changed"), done
        assert moved.differing() == {}


def test_what_is_written_while_a_worker_does_not_start_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving() as moved:
        start = DaemonService.start
        written: list[str] = []

        def fail_late(self: DaemonService, running: Running | None = None) -> None:
            start(self, running)
            if moved.uses_postgresql() and not written:
                written.append(moved.message("written while a worker does not start"))
                raise StateNotReached("The worker did not start.")

        with monkeypatch.context() as patched:
            patched.setattr(DaemonService, "start", fail_late)
            failed = moved.run()
        assert failed.get("failed"), failed
        assert "The worker did not start. Synapse stays with the PostgreSQL database" in failed["msg"]
        assert failed["outcome"] == "partly_done"
        assert moved.answers()
        assert moved.ask("SELECT 1 FROM events WHERE event_id = %s", written[0]) == [(1,)]
        done = moved.run()
        assert done["steps"] == ["start Synapse and complete the interrupted move"]
        assert moved.run()["changed"] is False


def test_content_of_others_in_an_interrupted_move(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving() as moved:
        with monkeypatch.context() as patched:
            _missing_rows(moved, patched)
            assert moved.run().get("failed")
        moved.ask("CREATE SCHEMA blog")
        moved.ask("CREATE TABLE blog.posts (id int)")
        for check in (True, False):
            refused = moved.run(check=check)
            assert "also contains what does not come from Synapse: blog.posts. Nothing is removed" in refused["msg"]
        assert moved.ask("SELECT count(*) FROM blog.posts") == [(0,)]
        assert moved.answers()
        moved.ask("DROP SCHEMA blog CASCADE")
        assert moved.run()["changed"]
        assert moved.differing() == {}


def test_rows_that_postgresql_cannot_store_and_tables_that_are_not_synapses() -> None:
    with moving() as moved:
        moved.server.write("INSERT INTO room_tags VALUES (?, '!room', 'a' || char(0), '{}')", moved.made["alice"])
        # A module of Synapse may have made it.
        moved.server.write("CREATE TABLE invitation_codes AS SELECT 'a code' AS code")
        assert "invitation_codes (1). They are not copied" in str(moved.run(check=True)["warnings"])
        done = moved.run()
        assert done.get("changed"), done
        assert "invitation_codes (1). They are not copied" in str(done["warnings"])
        assert done["migration"]["not_copied"]["invitation_codes"] == 1
        assert done["migration"]["unstorable"] == {"room_tags": 1}
