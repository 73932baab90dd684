# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of error codes, compared with the package of Synapse that the tests use."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errcodes import MEANINGS

# How codes look: of Matrix, and of proposals, which are names of domains in reverse order.
_CODE = re.compile(r"M_[A-Z][A-Z_]+|ORG_MATRIX_[A-Z_]+|(?:ORG|IO|FI|COM|UK|IM)(?:\.[A-Z0-9_]+){2,}")
# Codes that no endpoint answers with which this collection uses, and why.
_NOT_REACHABLE = {
    "M_BAD_PAGINATION": "Synapse itself does not use it",
    "M_CAPTCHA_NEEDED": "only when users register themselves",
    "M_CAPTCHA_INVALID": "only when users register themselves",
    "M_THREEPID_AUTH_FAILED": "only when users add an address themselves",
    "M_THREEPID_MEDIUM_NOT_SUPPORTED": "only when users add an address themselves",
    "M_SERVER_NOT_TRUSTED": "only with an identity server",
    "M_WRONG_ROOM_KEYS_VERSION": "only with backups of keys",
    "M_INVALID_SIGNATURE": "only when users upload keys",
    "M_CANNOT_OVERWRITE_MEDIA": "only when media are uploaded",
    "ORG.MATRIX.MSC3848.ALREADY_JOINED": "Synapse adds it beside the errcode M_FORBIDDEN",
    "ORG.MATRIX.MSC3848.NOT_JOINED": "Synapse adds it beside the errcode M_FORBIDDEN",
    "ORG.MATRIX.MSC3848.INSUFFICIENT_POWER": "Synapse adds it beside the errcode M_FORBIDDEN",
    "M_UNABLE_TO_AUTHORISE_JOIN": "only when users join a room",
    "M_UNABLE_TO_GRANT_JOIN": "only between servers",
    "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED": "only when a redacted event is read",
    "ORG.MATRIX.MSC3895_UNABLE_DUE_TO_PARTIAL_STATE": "only between servers",
    "M_URL_NOT_SET": "only with the ping of application services",
    "M_BAD_STATUS": "only with the ping of application services",
    "M_CONNECTION_TIMEOUT": "only with the ping of application services",
    "M_CONNECTION_FAILED": "only with the ping of application services",
    "IO.ELEMENT.MSC4512.M_FEDPROXY_NO_PROXY_PREFIX": "only for application services",
    "IO.ELEMENT.MSC4512.M_FEDPROXY_PATH_NOT_ALLOWED": "only for application services",
    "IO.ELEMENT.MSC4512.M_FEDPROXY_CONNECTION_FAILED": "only for application services",
    "IO.ELEMENT.MSC4512.M_FEDPROXY_DESTINATION_DENIED": "only for application services",
    "M_DUPLICATE_ANNOTATION": "only when messages are sent",
    "M_UNKNOWN_POS": "only with sliding sync",
    "M_KEY_TOO_LARGE": "only with fields of profiles other than the display name and the avatar",
    "ORG.MATRIX.MSC4140_DELAY_TOO_LARGE": "only with delayed events",
    "M_APPSERVICE_LOGIN_UNSUPPORTED": "only with logins of application services",
    "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION": "only with subscriptions to threads",
    "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD": "only with subscriptions to threads",
    "M_UNKNOWN_DEVICE": "only for application services",
}


@pytest.fixture(scope="module")
def codes() -> dict[str, str]:
    """Every text in the code of Synapse that is an error code, and a file where it is."""
    python = os.environ["CONTRACT_SYNAPSE_PYTHON"]
    command = [python, "-c", "import synapse; print(synapse.__path__[0])"]
    package = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    found: dict[str, str] = {}
    for file in package.rglob("*.py"):
        for text in _texts(ast.parse(file.read_text(encoding="utf-8"))):
            if _CODE.fullmatch(text):
                found.setdefault(text, str(file.relative_to(package)))
    return found


def _texts(tree: ast.AST) -> t.Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _explained() -> set[str]:
    return {key if isinstance(key, str) else key[0] for key in MEANINGS}


def test_every_reachable_code_has_a_meaning(codes: dict[str, str]) -> None:
    assert {"M_FORBIDDEN", "M_USER_LIMIT_EXCEEDED", "ORG_MATRIX_EXPIRED_ACCOUNT"} <= codes.keys()
    unknown = {code: file for code, file in codes.items() if code not in _explained() | _NOT_REACHABLE.keys()}
    assert not unknown


def test_no_code_is_both() -> None:
    assert not _explained() & _NOT_REACHABLE.keys()


def test_none_is_called_unreachable_that_does_not_exist(codes: dict[str, str]) -> None:
    assert _NOT_REACHABLE.keys() <= codes.keys()
