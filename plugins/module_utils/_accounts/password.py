# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Passwords: what the server's policy asks of one, and whether one is the password that an account has.

Relies on GET /_matrix/client/v3/password_policy, and on users.password_hash as synapse/handlers/auth.py (1.163) makes
it: bcrypt over the first 72 bytes of the NFKC-normalised password followed by the pepper.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
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

# Run by Synapse's own Python, because that has the bcrypt that made the hash. The secrets come by standard input.
_COMPARE = """
import json, sys, unicodedata, bcrypt
given = json.load(sys.stdin)
text = (unicodedata.normalize("NFKC", given["password"]) + given["pepper"]).encode()[:72]
print(json.dumps(bcrypt.checkpw(text, given["hash"].encode("ascii"))))
"""
_TIMEOUT = 30
_WRONG_PYTHON = "synapse_python must be the Python that Synapse is installed in."

_POLICY = (
    ("m.require_digit", re.compile(r"[0-9]"), "a digit"),
    ("m.require_symbol", re.compile(r"[^a-zA-Z0-9]"), "a symbol"),
    ("m.require_lowercase", re.compile(r"[a-z]"), "a lowercase letter"),
    ("m.require_uppercase", re.compile(r"[A-Z]"), "an uppercase letter"),
)


def read_policy(client: Client) -> dict[str, t.Any]:
    """Return the server's password policy; nothing if it has none."""
    try:
        return client.get("/_matrix/client/v3/password_policy")
    except (EndpointMissing, NotFound):
        return {}


def require_allowed(password: str, policy: t.Mapping[str, t.Any], user_id: str) -> None:
    """Raise InvalidInput if the password breaks the policy: Synapse itself does not hold an admin to it."""
    missing = [words for key, pattern, words in _POLICY if policy.get(key) and not pattern.search(password)]
    minimum = int(policy.get("m.minimum_length") or 0)
    if len(password) < minimum:
        missing.insert(0, f"at least {minimum} characters")
    if missing:
        raise InvalidInput(
            f"The password of {user_id} breaks this server's password policy: it lacks {', '.join(missing)}."
        )


def stored_passwords(
    configuration: Configuration, python: str, working_directory: str | None = None
) -> StoredPasswords:
    """Return what compares passwords with those in the database that the configuration names. It is opened only then.

    `python`: the Python that Synapse is installed in. `working_directory`: what relative paths start from.
    """
    # Only where they are compared: whoever sets a password would load it in vain.
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database

    def read_hash(user_id: str) -> str | None:
        with Database(find_database(configuration, working_directory)) as database:
            rows = database.rows("SELECT password_hash FROM users WHERE name = ?", user_id)
        return rows[0][0] if rows else None

    pepper = (configuration.settings.get("password_config") or {}).get("pepper") or ""
    return StoredPasswords(read_hash, str(pepper), python)


class StoredPasswords:
    """Compares passwords with the stored ones. Reads only.

    `read_hash` returns users.password_hash of a user id; `pepper` is password_config.pepper of the configuration;
    `python`: the Python that Synapse is installed in.
    """

    def __init__(self, read_hash: t.Callable[[str], str | None], pepper: str, python: str) -> None:
        self._read_hash = read_hash
        self._pepper = pepper
        self._python = python

    def is_set(self, user_id: str, password: str) -> bool:
        """Return whether `password` is the account's. An account without a password has none that matches.

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
        # A program that says something else compares nothing: the password would be set anew every time.
        if answer.status != 0 or said not in ("true", "false"):
            # What the process printed may quote the secrets, so it is not passed on.
            raise ConfigurationError(
                f"{self._python} could not compare the password of {user_id} with the stored one. {_WRONG_PYTHON}"
            )
        return said == "true"
