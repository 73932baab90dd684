# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether Synapse would start again. Its real parser is asked by the contract tests."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import CONFIGURATION, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.startable import require_startable


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Parser, bool]]:
    """Each parser that was asked, and whether a missing signing key was allowed. It refuses max_upload_size."""
    found: list[tuple[Parser, bool]] = []

    def judge(parser: Parser, candidate: None = None, *, new_key: bool = False, is_of_worker: bool = False) -> Verdict:
        found.append((parser, new_key))
        settings = read_configuration(parser.config_path).settings
        refused = "max_upload_size" in settings
        return Verdict(CONFIGURATION, "It does not like a secret of 12345678.") if refused else Verdict()

    monkeypatch.setattr(Parser, "judge", judge)
    return found


def _judged(directory: pathlib.Path, place: Place, **settings: t.Any) -> None:
    path = directory / "homeserver.yaml"
    path.write_text(json.dumps({"server_name": "example.org", **settings}))
    require_startable([str(path)], "/python", read_configuration([str(path)]), place)


def test_accepted(tmp_path: pathlib.Path, asked: list[tuple[Parser, bool]]) -> None:
    _judged(tmp_path, Place(os.geteuid(), "/srv"))
    (tmp_path / "example.org.signing.key").touch()
    _judged(tmp_path, Place(None, None))
    (first, makes_key), (second, keeps_key) = asked
    assert (first.python, first.working_directory, first.is_guess, makes_key) == ("/python", "/srv", False, True)
    assert first.reader is not None
    assert first.reader.uid == os.geteuid()
    assert (second.working_directory, second.is_guess, second.reader, keeps_key) == ("/", True, None, False)


def test_refused(tmp_path: pathlib.Path, asked: list[tuple[Parser, bool]]) -> None:
    with pytest.raises(ConfigurationError, match=r"Nothing was stopped or dropped\. Fix the configuration") as raised:
        _judged(tmp_path, Place(None, None), max_upload_size="lots", macaroon_secret_key="secret of 12345678")
    assert "12345678" not in raised.value.message
    assert len(asked) == 1
