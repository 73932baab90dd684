# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other programs and PostgreSQL say is one line, which is never empty."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.child_process import run, words_of


def test_the_text_of_an_error_is_one_line() -> None:
    assert words_of(OSError("a\n\tb ")) == "a b"


def test_an_error_without_a_text_has_words_too() -> None:
    assert words_of(OSError("")) == "OSError with a text that is not in the encoding UTF-8"


def test_variables_of_postgresql_do_not_change_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    monkeypatch.setenv("OTHER", "other")
    shown = run([sys.executable, "-c", "import os; print(sorted(os.environ))"]).stdout
    assert ("PGOPTIONS" in shown, "'OTHER'" in shown) == (False, True)
