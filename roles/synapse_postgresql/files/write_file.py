# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes or removes a file as the user who owns its directory."""

from __future__ import annotations

import contextlib
import os
import typing as t


def answer(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Write `text` to the file `path`, or remove it if the text is empty; raises `OSError`. Returns nothing."""
    path, text = question["path"], question["text"]
    if not text:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return {}
    # PostgreSQL reads only names that end with .conf.
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    return {}
