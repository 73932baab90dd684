# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Passwords: whether the server allows logins with one, whether its policy allows one, and whether an account has it.

Relies on GET /_matrix/client/v3/login and .../password_policy, and on users.password_hash as synapse/handlers/auth.py
(1.163) computes it: bcrypt over the first 72 bytes of the NFKC-normalised password followed by the pepper.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    EndpointMissing,
    InvalidInput,
    NotFound,
    SynapseError,
)

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration

# Synapse's own Python runs this, because it has the bcrypt that computed the hash. Standard input contains the secrets.
_COMPARE = """
import json, sys, unicodedata, bcrypt
given = json.load(sys.stdin)
text = (unicodedata.normalize("NFKC", given["password"]) + given["pepper"]).encode()[:72]
print(json.dumps(bcrypt.checkpw(text, given["hash"].encode("ascii"))))
"""
_TIMEOUT = 30
_WRONG_PYTHON = "Set synapse_python to the Python interpreter of the environment in which Synapse is installed."

LOGIN = "/_matrix/client/v3/login"
PASSWORD_LOGIN = "m.login.password"

_MAXIMUM_PASSWORD = 512
_POLICY = (
    ("m.require_digit", re.compile(r"[0-9]"), "a digit"),
    ("m.require_symbol", re.compile(r"[^a-zA-Z0-9]"), "a symbol"),
    ("m.require_lowercase", re.compile(r"[a-z]"), "a lowercase letter"),
    ("m.require_uppercase", re.compile(r"[A-Z]"), "an uppercase letter"),
)


def allows_login(client: Client) -> bool:
    """Whether the server allows logins with a password. Raises what the client raises."""
    return any(flow.get("type") == PASSWORD_LOGIN for flow in member(client.get(LOGIN), "flows"))


def read_policy(client: Client) -> dict[str, t.Any]:
    """Return the password policy of the server, {} if it has none."""
    try:
        return client.get("/_matrix/client/v3/password_policy")
    except (EndpointMissing, NotFound):
        return {}


def require_allowed(password: str, policy: t.Mapping[str, t.Any], user_id: str) -> None:
    """Raise InvalidInput if the policy forbids the password. Synapse does not check this for requests of an admin."""
    missing = [words for key, pattern, words in _POLICY if policy.get(key) and not pattern.search(password)]
    minimum = int(policy.get("m.minimum_length") or 0)
    if len(password) < minimum:
        missing.insert(0, f"at least {minimum} characters")
    if missing:
        raise InvalidInput(
            f"The password policy of this server forbids the password of {user_id}. It needs {', '.join(missing)}."
        )


def require_password(option: str, password: str) -> None:
    """Raise InvalidInput for a password that Synapse refuses, whatever its policy. The message does not contain it."""
    if len(password) > _MAXIMUM_PASSWORD:
        raise InvalidInput(f"{option} is longer than {_MAXIMUM_PASSWORD} characters, the maximum of Synapse.")
    if "\0" in password:
        raise InvalidInput(
            f"{option} contains the character NUL, with which Synapse registers no account. Set another password."
        )
    try:
        password.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{option} contains bytes that are not UTF-8. Write it in UTF-8.") from None


def stored_passwords(
    configuration: Configuration, python: str, working_directory: str | None = None
) -> StoredPasswords:
    """Return an object that compares passwords with those in the database of Synapse. It opens the database only then.

    `python`: the Python of the environment in which Synapse is installed. Relative paths start from
    `working_directory`. Raises ConfigurationError if the pepper is not text for YAML: Synapse then fails at each login.
    """
    # Imported here because only comparing passwords needs it.
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database

    def read_hash(user_id: str) -> str | None:
        with Database(find_database(configuration, working_directory)) as database:
            rows = database.rows("SELECT password_hash FROM users WHERE name = ?", user_id)
        return rows[0][0] if rows else None

    configuration.require_text("password_config", "pepper")
    pepper = configuration.block("password_config").get("pepper") or ""
    return StoredPasswords(read_hash, str(pepper), python)


class StoredPasswords:
    """Compares passwords with the stored ones. It only reads.

    `read_hash` returns users.password_hash of a user ID. `pepper` is password_config.pepper of the configuration.
    `python`: the Python of the environment in which Synapse is installed.
    """

    def __init__(self, read_hash: t.Callable[[str], str | None], pepper: str, python: str) -> None:
        self._read_hash = read_hash
        self._pepper = pepper
        self._python = python

    def is_set(self, user_id: str, password: str) -> bool:
        """Return whether the account has this `password`. An account without a password never has.

        Raises ConfigurationError if Synapse's Python cannot compare them.
        """
        stored = self._read_hash(user_id)
        if not stored:
            return False
        given = json.dumps({"password": password, "pepper": self._pepper, "hash": stored})
        try:
            answer = run_command([self._python, "-c", _COMPARE], _TIMEOUT, given)
        except SynapseError as error:
            error.explain(_WRONG_PYTHON)
            raise
        said = answer.output.strip()
        # Any other output means that nothing was compared. Then the password would be set every time.
        if answer.status != 0 or said not in ("true", "false"):
            # The output of the process may contain the secrets, so the message does not contain it.
            raise ConfigurationError(
                f"{self._python} could not compare the password of {user_id} with the stored one. {_WRONG_PYTHON}"
            )
        return said == "true"
