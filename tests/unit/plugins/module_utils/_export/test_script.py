# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import textwrap
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import digest_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.script import export_script

# The part of Synapse that the script relies on: a handler that passes the JSON of its database to a writer, and asks
# which rooms are forgotten. The writer writes like that of Synapse.
SYNAPSE = {
    "handlers/admin.py": """
        class AdminHandler:
            async def export_user_data(self, user_id, writer):
                store = self.store
                forgotten = await store.did_forget(user_id, "!r") or await store.get_forgotten_rooms_for_user(user_id)
                for call in self.calls:
                    getattr(writer, call[0])(*call[1:])
                writer.write_profile({"name": user_id, "forgotten": bool(forgotten)})
                return writer.finished()
    """,
    "storage/databases/main/roommember.py": """
        class RoomMemberWorkerStore:
            async def did_forget(self, user_id, room_id):
                return True
            async def get_forgotten_rooms_for_user(self, user_id):
                return {"!r"}
    """,
    "app/admin_cmd.py": """
        import asyncio, json, sys
        from synapse.handlers.admin import AdminHandler
        from synapse.storage.databases.main.roommember import RoomMemberWorkerStore

        class Writer:
            def __init__(self, written):
                self._written = written
            def __getattr__(self, name):
                def write(*given):
                    self._written.write("[")
                    for value in (name, *given):
                        shown = list(value.values()) if hasattr(value, "values") else value
                        # Account data are written together, so that they are deeper than separately.
                        deeper = name == "write_connections" and value is given[-1]
                        json.dump([[[[shown]]]] if deeper else shown, self._written)
                        self._written.write("," if value is not given[-1] else "]\\n")
                return write
            def finished(self):
                pass

        def at_the_bottom(calls, function):
            # Alternating calls in C and in Python, because each has its own limit.
            return function() if not calls else next(map(lambda _: at_the_bottom(calls - 1, function), [0]))

        if __name__ == "__main__":
            handler = AdminHandler()
            handler.store = RoomMemberWorkerStore()
            with open("database") as file:
                database = file.read()
            handler.calls = at_the_bottom(100, lambda: json.JSONDecoder().decode(database))
            with open("written", "w") as written:
                asyncio.run(handler.export_user_data("@a/b:s.test", Writer(written)))
    """,
}
# Ids that accounts can make a server store.
HOSTILE = [
    *("!" + "x" * 400 + ":s", "!../../etc:s", "!a/b:s", "!" + "/" * 200, "!%2F:s", "!A:s", "!a:s", "!\x00\x1b\n:s"),
    *("!\N{GRINNING FACE}:s", "!\ud800:s", "!con:s", "!a. ", "!", "."),
]


class Synapse:
    """A directory that contains this Synapse."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        for path, text in SYNAPSE.items():
            file = directory / "packages" / "synapse" / path
            file.parent.mkdir(parents=True)
            file.write_text(textwrap.dedent(text))
            for package in file.relative_to(directory / "packages").parents:
                (directory / "packages" / package / "__init__.py").touch()

    def run(self, database: str, include_forgotten: bool = False) -> list[str]:
        """Run the script with these calls as JSON in the database. Return the written lines."""
        (self.directory / "database").write_text(database)
        script = export_script(str(self.directory / "it's ids"), include_forgotten=include_forgotten)
        command = [sys.executable, "-B", "-c", script]
        environment = {"PYTHONPATH": str(self.directory / "packages")}
        subprocess.run(command, cwd=self.directory, env=environment, check=True, timeout=60)
        return (self.directory / "written").read_text().splitlines()

    def ids(self) -> list[t.Any]:
        return [json.loads(line) for line in (self.directory / "it's ids").read_text().splitlines()]


@pytest.fixture
def synapse(tmp_path: pathlib.Path) -> Synapse:
    return Synapse(tmp_path)


def test_no_id_is_part_of_a_path(synapse: Synapse) -> None:
    calls: list[list[t.Any]] = []
    for identifier in HOSTILE:
        calls += [["write_events", identifier, ["event"]], ["write_account_data", identifier, {"a": 1}]]
        calls += [["write_state", identifier, "$/" + identifier, {"1": "state"}]]
        calls += [["write_invite", identifier, "event", ["stripped"]], ["write_knock", identifier, "event", {"1": "x"}]]
        calls += [["write_media_id", identifier, {"b": 2}]]
    lines = synapse.run(json.dumps([*calls, ["write_account_data", "global", {}], ["write_devices", ["device"]]]))
    expected: list[list[t.Any]] = []
    for identifier in HOSTILE:
        name = digest_of(identifier)
        expected += [["write_events", name, ["event"]], ["write_account_data", name, [1]]]
        expected += [["write_state", name, digest_of("$/" + identifier), ["state"]]]
        expected += [["write_invite", name, "event", ["stripped"]], ["write_knock", name, "event", ["x"]]]
        expected += [["write_media_id", name, [2]]]
    expected += [["write_account_data", "global", []], ["write_devices", ["device"]]]
    assert [json.loads(line) for line in lines[:-1]] == expected
    assert synapse.ids() == [text for identifier in HOSTILE for text in (identifier, "$/" + identifier)]


@pytest.mark.parametrize("include_forgotten", [False, True])
def test_forgotten_rooms(synapse: Synapse, include_forgotten: bool) -> None:
    lines = synapse.run("[]", include_forgotten)
    assert json.loads(lines[-1]) == ["write_profile", ["@a/b:s.test", not include_forgotten]]


def nested(depth: int) -> str:
    """Return that many nested objects and arrays, with something before and after each."""
    opening, closing = '[0, {"a": "\\u00e4", "b": ', ', "c": null}, 1.5]'
    even = depth // 2
    return opening * even + ("[]" if depth % 2 else "true") + closing * even


def find_deepest() -> int:
    """Return the depth up to which this Python decodes, with a stack as small as in a server."""
    script = """
import json
least, too_much = 100, 1_000_000
while too_much - least > 1:
    middle = (least + too_much) // 2
    try:
        json.loads("[" * middle + "]" * middle)
        least = middle
    except RecursionError:
        too_much = middle
print(least)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_what_is_nested_deeply_is_written(synapse: Synapse) -> None:
    # Two levels belong to the calls.
    deepest = find_deepest() - 2
    for depth in (10, 400, deepest):
        value = nested(depth)
        (synapse.directory / "it's ids").unlink(missing_ok=True)
        lines = synapse.run(f'[["write_connections", {value}]]')
        assert lines[0] == f'["write_connections",[[[[{value}]]]]]'


def test_encoding_without_recursion_is_the_usual_one(synapse: Synapse) -> None:
    # Deeper than the limit of the encoder in C.
    value: t.Any = [{}, [], {"k": []}, [[]], {"a": {"b": [1, 2.5, None, True, "\u20ac\ud800"]}, "c": {}}, "", 10**30]
    script = export_script(str(synapse.directory / "ids"), include_forgotten=False).partition("from synapse")[0]
    script += """
shown = []
for value in json.load(sys.stdin):
    shown.append(encode_deep(value) == json.dumps(value))
deep = []
for _level in range(100_000):
    deep = [{"k": deep}]
shown.append(encode_deep(deep) == '[{"k": ' * 100_000 + "[]" + "}]" * 100_000)
print(json.dumps(shown))
# Freeing such a deeply nested value needs another recursion.
import os; sys.stdout.flush(); os._exit(0)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=json.dumps(value), capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [True] * (len(value) + 1)
