# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

_AGE = """#!/bin/sh
case "$1 $3" in
"--encrypt age1good"*) echo age-encryption.org/v1; exec cat ;;
"--encrypt "*) echo "age: error: malformed recipient" >&2; exit 1 ;;
esac
read -r first
case "$(cat "$3")" in
right) exec cat ;;
esac
echo "age: error: no identity matched any of the recipients" >&2
echo "age: report unexpected or unhelpful errors at https://example.org" >&2
exit 1
"""


def install_age(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch, text: str = _AGE) -> None:
    """Put a program with the name and the options of age first in the path. It adds a line, and takes it away again."""
    directory.mkdir(exist_ok=True)
    program = directory / "age"
    program.write_text(text)
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
