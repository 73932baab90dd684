# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Found by Python at its start. Lets a module stop after some media, and tell its process by the file HANGING."""

from __future__ import annotations

import itertools
import os
import threading
import typing as t

_ENOUGH = 4

_replace = os.replace
_count = itertools.count(1)


def replace_some(source: t.Any, target: t.Any, **options: t.Any) -> None:
    """Give a file its name, but only the first few of the media."""
    if os.path.basename(os.path.dirname(str(target))) == "media" and next(_count) > _ENOUGH:
        with open(os.environ["HANGING"], "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        threading.Event().wait()
    _replace(source, target, **options)


if "HANGING" in os.environ:
    os.replace = replace_some
