# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Requests signed with the signing key of the server itself.

Synapse's own Python signs, because it has signedjson. Relies on Synapse 1.163 (synapse/config/key.py): `signing_key` or
the file `signing_key_path` has lines of an algorithm, a version and a key, and the first one signs.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import parse_server_name

# Standard input contains the key. The output has no word of it: a name of what failed, or the signatures.
_SCRIPT = r"""
import json, os, stat, sys


def lines(given):
    if given["key"] is not None:
        return given["key"].splitlines()
    with open(os.open(given["key_path"], os.O_RDONLY | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is not a file")
        return file.read(65536).splitlines()


def sign(given):
    try:
        from signedjson.key import read_signing_keys
        from signedjson.sign import sign_json
    except ImportError:
        return {"failed": "signedjson"}
    try:
        text = lines(given)
    except OSError as error:
        return {"failed": "file", "reason": error.strerror}
    except ValueError:
        return {"failed": "key"}
    try:
        key = read_signing_keys([line for line in text if line.strip()])[0]
    except Exception:
        return {"failed": "key"}
    name = given["server_name"]
    signed = []
    for method, uri in given["requests"]:
        content = {"method": method, "uri": uri, "origin": name, "destination": name}
        signed.append(list(sign_json(content, name, key)["signatures"][name].items())[0])
    return {"signed": signed}


print(json.dumps(sign(json.load(sys.stdin))))
"""
TIMEOUT = 20
_KEY_ID = re.compile(r"[A-Za-z0-9_]+:[A-Za-z0-9_]+")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_WRONG_PYTHON = "Set synapse_python to the Python interpreter of the environment in which Synapse is installed."

Run = t.Callable[[t.Sequence[str], float, str], Completed]


class Signer:
    """Signs requests from the server to itself. No error and no output contains the key or a signature."""

    def __init__(
        self, synapse_python: str, server_name: str, key: str | None, key_path: str | None, run: Run = run_command
    ) -> None:
        """`synapse_python`: the Python of Synapse. `key`: the text of the key, None if it is in the file `key_path`."""
        self._python = synapse_python
        self._server_name = server_name
        self._key = key
        self._key_path = key_path
        self._run = run

    def sign(self, requests: t.Sequence[tuple[str, str]]) -> list[str]:
        """Return the value of the Authorization header for each (method, URI) without a body.

        Raises SynapseError if there is no valid server name, the key cannot be read, or Synapse's Python cannot sign
        within 20 seconds.
        """
        if not requests:
            return []
        if self._key is None and self._key_path is None:
            raise SynapseError(
                "There is no signing key: the configuration has neither signing_key nor signing_key_path."
            )
        # Anything else could break the header.
        parse_server_name(self._server_name)
        return [self._header(*pair) for pair in self._signatures(requests)]

    def _header(self, key_id: str, signature: str) -> str:
        name = self._server_name
        return f'X-Matrix origin="{name}",key="{key_id}",sig="{signature}",destination="{name}"'

    def _signatures(self, requests: t.Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        given = {
            "key": self._key,
            "key_path": self._key_path,
            "server_name": self._server_name,
            "requests": [list(request) for request in requests],
        }
        try:
            done = self._run([self._python, "-I", "-B", "-c", _SCRIPT], TIMEOUT, json.dumps(given))
        except ValueError as error:
            raise SynapseError(f"{self._python!r} is not the path of a program. {_WRONG_PYTHON}") from error
        except SynapseError as error:
            error.explain(_WRONG_PYTHON)
            raise
        return self._checked(_answer_of(done), len(requests))

    def _checked(self, answer: dict[str, t.Any], count: int) -> list[tuple[str, str]]:
        failed = answer.get("failed")
        if failed == "signedjson":
            raise SynapseError(f"{self._python} has no package signedjson to sign requests. {_WRONG_PYTHON}")
        if failed == "file":
            reason = answer.get("reason") or "it cannot be opened"
            raise SynapseError(f"The signing key {self._key_path} cannot be read: {reason}.")
        if failed == "key":
            raise SynapseError(f"{self._key_path or 'signing_key'} does not contain a signing key of Synapse.")
        signed = [tuple(pair) for pair in answer.get("signed") or () if _is_signature(pair)]
        # Whatever another program prints could contain the key, so the message does not contain it.
        if len(signed) != count:
            raise SynapseError(f"{self._python} could not sign the requests. {_WRONG_PYTHON}")
        return [(str(key_id), str(signature)) for key_id, signature in signed]


def _answer_of(done: Completed) -> dict[str, t.Any]:
    try:
        answer = json.loads(done.output) if done.status == 0 else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(answer, dict) or not isinstance(answer.get("signed", []), list):
        return {}
    return answer


def _is_signature(pair: t.Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(text, str) for text in pair)
        and bool(_KEY_ID.fullmatch(pair[0]) and _SIGNATURE.fullmatch(pair[1]))
    )
