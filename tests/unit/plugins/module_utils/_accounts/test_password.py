# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A password that the policy forbids is refused before it is sent, and a comparison never shows a secret."""

from __future__ import annotations

import hashlib
import json
import pathlib
import sqlite3
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import password as passwords
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import (
    StoredPasswords,
    read_policy,
    require_allowed,
    stored_passwords,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

POLICY = "/_matrix/client/v3/password_policy"
PASSWORD, PEPPER, HASH = "hunter2", "p3pper", "$2b$12$stored"
SECRETS = (PASSWORD, PEPPER, HASH)


class TestReadPolicy:
    @pytest.mark.parametrize("answer", [{}, {"m.minimum_length": 15, "m.require_digit": True}])
    def test_returns_what_the_server_says(self, server: ScriptedServer, answer: dict[str, t.Any]) -> None:
        server.expect(Call("GET", POLICY, answer))
        assert read_policy(Client(server.base_url)) == answer

    @pytest.mark.parametrize("errcode", ["M_UNRECOGNIZED", "M_NOT_FOUND"])
    def test_there_is_none_where_it_is_not_served(self, server: ScriptedServer, errcode: str) -> None:
        server.expect(Call("GET", POLICY, {"errcode": errcode, "error": "Unrecognized request"}, 404))
        assert read_policy(Client(server.base_url)) == {}

    def test_a_fault_is_not_taken_for_none(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", POLICY, {"errcode": "M_UNKNOWN", "error": "Internal server error"}, 500))
        with pytest.raises(errors.ApiError, match="Internal server error"):
            read_policy(Client(server.base_url))


class TestRequireAllowed:
    EVERYTHING: t.ClassVar[dict[str, t.Any]] = {
        "m.minimum_length": 8,
        "m.require_digit": True,
        "m.require_symbol": True,
        "m.require_lowercase": True,
        "m.require_uppercase": True,
    }

    @pytest.mark.parametrize(
        ("password", "policy"),
        [
            ("x", {}),
            ("Passw0rd!", EVERYTHING),
            ("Pässw0rd", EVERYTHING),
            ("12345678", {"m.minimum_length": 8}),
            ("x", {name: False for name in EVERYTHING}),
            ("x", {"m.minimum_length": None, "org.example.require_luck": True}),
        ],
    )
    def test_takes_what_is_allowed(self, password: str, policy: dict[str, t.Any]) -> None:
        require_allowed(password, policy, "@alice:x.org")

    @pytest.mark.parametrize(
        ("password", "lacks"),
        [
            ("Passw0r", "at least 8 characters, a symbol"),
            # Seven characters, but eight bytes.
            ("Päss0r!", "at least 8 characters"),
            ("Password!", "a digit"),
            # For Synapse, a digit of another script is not a digit.
            ("Password!٣", "a digit"),
            ("Passw0rd", "a symbol"),
            ("PASSW0RD!", "a lowercase letter"),
            ("passw0rd!", "an uppercase letter"),
            ("PÄSSW0RDé!", "a lowercase letter"),
            ("", "at least 8 characters, a digit, a symbol, a lowercase letter, an uppercase letter"),
        ],
    )
    def test_says_what_it_lacks(self, password: str, lacks: str) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            require_allowed(password, self.EVERYTHING, "@alice:x.org")
        said = "The password policy of this server forbids the password of @alice:x.org. It needs"
        assert caught.value.message == f"{said} {lacks}."

    def test_does_not_quote_it(self) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            require_allowed(PASSWORD, {"m.minimum_length": 20}, "@alice:x.org")
        assert PASSWORD not in f"{caught.value} {caught.value.details}"


class Interpreter:
    """In place of Synapse's Python: records its arguments and its input, and runs the code of a test."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.path = str(directory / "python")
        self._behaviour = directory / "behaviour.py"
        self._seen = directory / "seen.json"
        program = pathlib.Path(self.path)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{self._behaviour}" "$@"\n')
        program.chmod(0o700)

    def does(self, code: str) -> None:
        """Make it run `code` after it has read its input (as `given`)."""
        self._behaviour.write_text(
            "import json, os, signal, sys\n"
            "given = sys.stdin.read()\n"
            f"with open({str(self._seen)!r}, 'w') as file:\n"
            "    json.dump([given, sys.argv[1:], dict(os.environ)], file)\n"
            f"{code}\n"
        )

    def seen(self) -> tuple[dict[str, str], list[str], dict[str, str]]:
        """Return what it read from its standard input, its arguments, and its environment."""
        given, arguments, environment = json.loads(self._seen.read_text())
        return json.loads(given), arguments, environment

    @property
    def ran(self) -> bool:
        """Whether it was called at all."""
        return self._seen.exists()


@pytest.fixture
def interpreter(tmp_path: pathlib.Path) -> Interpreter:
    """A Python that reports that the passwords are the same, unless a test changes this."""
    stand_in = Interpreter(tmp_path)
    stand_in.does("print('true')")
    return stand_in


def stored(python: str, password_hash: str | None = HASH, pepper: str = PEPPER) -> StoredPasswords:
    return StoredPasswords({"@alice:x.org": password_hash}.get, pepper, python)


class TestComparison:
    @pytest.mark.parametrize(("said", "same"), [("true", True), ("false", False)])
    def test_believes_the_python_of_synapse(self, interpreter: Interpreter, said: str, same: bool) -> None:
        interpreter.does(f"print({said!r})")
        assert stored(interpreter.path).is_set("@alice:x.org", PASSWORD) is same

    def test_hands_the_secrets_to_it_alone(self, interpreter: Interpreter) -> None:
        stored(interpreter.path).is_set("@alice:x.org", PASSWORD)
        given, arguments, environment = interpreter.seen()
        assert given == {"password": PASSWORD, "pepper": PEPPER, "hash": HASH}
        assert arguments[0] == "-c"
        assert not any(secret in f"{arguments} {environment}" for secret in SECRETS)

    @pytest.mark.parametrize("user_id", ["@alice:x.org", "@nobody:x.org"])
    @pytest.mark.parametrize("password_hash", [None, ""])
    def test_an_account_without_a_password_has_none_that_matches(
        self, interpreter: Interpreter, user_id: str, password_hash: str | None
    ) -> None:
        assert stored(interpreter.path, password_hash).is_set(user_id, "") is False
        assert not interpreter.ran

    @pytest.mark.parametrize(
        "code",
        [
            "sys.exit(given)",
            "print('true'); sys.exit(1)",
            "print(given)",
            "print('True')",
            "print('true true')",
            "print('null')",
            "",
            "os.kill(os.getpid(), signal.SIGTERM)",
        ],
    )
    def test_takes_no_other_answer(self, interpreter: Interpreter, code: str) -> None:
        interpreter.does(code)
        with pytest.raises(errors.ConfigurationError) as caught:
            stored(interpreter.path).is_set("@alice:x.org", PASSWORD)
        assert caught.value.message == (
            f"{interpreter.path} could not compare the password of @alice:x.org with the stored one."
            " Set synapse_python to the Python interpreter of the environment in which Synapse is installed."
        )
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in SECRETS)

    def test_does_not_wait_for_ever(self, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "_TIMEOUT", 0.5)
        interpreter.does("signal.pause()")
        with pytest.raises(
            errors.SynapseError, match="did not end within 0.5 seconds. Set synapse_python to"
        ) as caught:
            stored(interpreter.path).is_set("@alice:x.org", PASSWORD)
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in SECRETS)

    def test_says_where_it_looked_for_python(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.SynapseError, match="missing cannot be run: .*Set synapse_python to") as caught:
            stored(str(tmp_path / "missing")).is_set("@alice:x.org", PASSWORD)
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in SECRETS)


class TestStoredPasswords:
    """Where the hash and the pepper come from."""

    @pytest.fixture
    def database(self, tmp_path: pathlib.Path) -> pathlib.Path:
        """The database of a Synapse with two accounts, one of which has a password."""
        path = tmp_path / "homeserver.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE users (name TEXT UNIQUE, password_hash TEXT)")
        connection.execute("INSERT INTO users VALUES ('@alice:x.org', ?), ('@bob:x.org', NULL)", (HASH,))
        connection.commit()
        connection.close()
        return path

    def configured(self, database: str, **settings: t.Any) -> Configuration:
        place = {"name": "sqlite3", "args": {"database": database}}
        return Configuration((ConfigurationFile("/etc/homeserver.yaml", {"database": place, **settings}),))

    @pytest.mark.parametrize(
        ("settings", "pepper"),
        [
            ({}, ""),
            ({"password_config": None}, ""),
            ({"password_config": {"enabled": True}}, ""),
            ({"password_config": {"pepper": None}}, ""),
            ({"password_config": {"pepper": PEPPER}}, PEPPER),
        ],
    )
    def test_are_those_of_the_configuration(
        self, interpreter: Interpreter, database: pathlib.Path, settings: dict[str, t.Any], pepper: str
    ) -> None:
        passwords = stored_passwords(self.configured(str(database), **settings), interpreter.path)
        assert passwords.is_set("@alice:x.org", PASSWORD) is True
        assert interpreter.seen()[0] == {"password": PASSWORD, "pepper": pepper, "hash": HASH}

    def test_a_pepper_that_is_no_text(self, interpreter: Interpreter, database: pathlib.Path) -> None:
        configuration = self.configured(str(database), password_config={"pepper": 123456789})
        with pytest.raises(errors.ConfigurationError) as caught:
            stored_passwords(configuration, interpreter.path)
        assert caught.value.message.startswith("password_config.pepper in /etc/homeserver.yaml is a number for YAML")
        assert "123456789" not in caught.value.message

    @pytest.mark.parametrize("user_id", ["@bob:x.org", "@nobody:x.org", "@Alice:x.org", "' OR 1 --"])
    def test_of_nobody_else(self, interpreter: Interpreter, database: pathlib.Path, user_id: str) -> None:
        passwords = stored_passwords(self.configured(str(database)), interpreter.path)
        assert passwords.is_set(user_id, PASSWORD) is False
        assert not interpreter.ran

    def test_are_found_where_synapse_runs(self, interpreter: Interpreter, database: pathlib.Path) -> None:
        configuration = self.configured(database.name)
        assert stored_passwords(configuration, interpreter.path, str(database.parent)).is_set("@alice:x.org", PASSWORD)

    def test_are_looked_for_only_when_they_are_needed(self, interpreter: Interpreter, tmp_path: pathlib.Path) -> None:
        passwords = stored_passwords(self.configured(str(tmp_path / "missing.db")), interpreter.path)
        with pytest.raises(errors.ConnectionFailed, match="missing.db does not exist"):
            passwords.is_set("@alice:x.org", PASSWORD)


# In place of the real library, which only Synapse's own Python needs: it also accepts only bytes, at most 72.
BCRYPT = """
import hashlib
def checkpw(password, hashed_password):
    if not (isinstance(password, bytes) and isinstance(hashed_password, bytes)) or len(password) > 72:
        raise ValueError(password)
    return hashlib.sha256(password).hexdigest().encode() == hashed_password
"""


class TestWhatIsCompared:
    @pytest.fixture
    def library(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
        """The library that the Python of these tests finds."""
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        path = tmp_path / "bcrypt.py"
        path.write_text(BCRYPT)
        return path

    @pytest.mark.parametrize(
        ("password", "pepper", "hashed"),
        [
            ("hunter2", "", b"hunter2"),
            ("hunter2", "p3pper", b"hunter2p3pper"),
            ("pässword", "pép", "päss".encode() + "wordpép".encode()),
            # An a with a combining diaeresis, a ligature and a full-width letter. The pepper is not normalized.
            ("a\u0308\ufb01\uff21", "a\u0308", "\u00e4fiA".encode() + b"a\xcc\x88"),
            ("x" * 70, "pepper", b"x" * 70 + b"pe"),
            ("x" * 500, "pepper", b"x" * 72),
            # The compared part may end in the middle of a letter.
            ("x" * 71 + "ä", "", b"x" * 71 + b"\xc3"),
            ('"quoted" \\ {} \n', "", b'"quoted" \\ {} \n'),
        ],
        ids=["plain", "pepper", "other-letters", "normalised", "cut-pepper", "cut-password", "cut-letter", "escapes"],
    )
    @pytest.mark.usefixtures("library")
    def test_is_what_synapse_hashed(self, password: str, pepper: str, hashed: bytes) -> None:
        compared = stored(sys.executable, hashlib.sha256(hashed).hexdigest(), pepper)
        assert compared.is_set("@alice:x.org", password) is True
        assert compared.is_set("@alice:x.org", f"not {password}") is False

    @pytest.mark.parametrize("code", ["raise ImportError", "def checkpw(*given): raise ValueError(given)"])
    def test_that_it_cannot_be_is_said_without_a_secret(self, library: pathlib.Path, code: str) -> None:
        library.write_text(code)
        with pytest.raises(errors.ConfigurationError, match="Set synapse_python to the Python") as caught:
            stored(sys.executable).is_set("@alice:x.org", PASSWORD)
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in SECRETS)
