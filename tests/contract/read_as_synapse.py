# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what Synapse's own code reads from a configuration, for each line of JSON on the standard input.

A line contains `paths`, the files and directories, and `settings`, Synapse's own names of values that it has
calculated, such as server.server_name. Without names, the answer is the content of the files. It is {"read": ...}, or
the error: {"error": ...}.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import traceback
import typing as t

from synapse.config._base import find_config_files, read_config_files


def _answer(paths: list[str], settings: list[str]) -> dict[str, t.Any]:
    if not settings:
        return t.cast("dict[str, t.Any]", read_config_files(find_config_files(paths)))
    # Loading it takes seconds, and most cases do not need it.
    from synapse.config.homeserver import HomeServerConfig

    config = HomeServerConfig.load_config("", [f"--config-path={path}" for path in paths])
    return {name: functools.reduce(getattr, name.split("."), config) for name in settings}


for line in sys.stdin:
    answer: dict[str, t.Any]
    # It prints which files it ignores.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = {"read": _answer(**json.loads(line))}
        except Exception:
            answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
