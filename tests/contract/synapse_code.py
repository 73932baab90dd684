# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Synapse's own code, in a separate process that loads it only once. It needs no server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json

Ask = t.Callable[[Json], Json]


@contextlib.contextmanager
def synapse_code(script: str) -> t.Iterator[Ask]:
    """Start a script of this directory, which answers each line of JSON with one, and yield how to ask it."""
    with subprocess.Popen(
        [os.environ["CONTRACT_SYNAPSE_PYTHON"], Path(__file__).with_name(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=tempfile.gettempdir(),
    ) as process:

        def ask(question: Json) -> Json:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps(question), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            assert "error" not in answer, answer["error"]
            return t.cast("Json", answer)

        yield ask
