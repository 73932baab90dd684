# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_restore is killed at many moments: no server starts with a part of its data, and the next run finishes it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored, backed_up

_ROUNDS = 10


def _killed_after(made: Restored, seconds: float) -> bool:
    """Run the module in a process of its own and kill it. Return whether it had not finished."""
    child = os.fork()
    if not child:
        # Without what pytest does at the end of a process.
        with contextlib.suppress(BaseException):
            made.run()
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _is_answering(made: Restored) -> bool:
    try:
        return made.server.ask("GET", "/_matrix/client/versions", None, "")[0] == 200
    except OSError:
        return False
    finally:
        made.server.forget_connection()


@pytest.mark.parametrize("engine", servers.ENGINES)
def test_the_next_run_finishes_it(engine: str, tmp_path: Path) -> None:
    with backed_up(engine, tmp_path) as made:
        whole, killed = 0.0, 0
        # The first one imports what the next ones have already.
        for _attempt in range(2):
            begin = time.monotonic()
            first = made.run()
            whole = time.monotonic() - begin
            assert not first.get("failed"), first
            made.wipe()
        for number in range(_ROUNDS):
            if _killed_after(made, whole * (number + 0.5) / _ROUNDS):
                killed += 1
            else:
                # It was measured while the machine had more to do.
                whole *= 0.7
            if not (made.place / "homeserver.yaml").exists():
                assert not _is_answering(made)
            result = made.run()
            assert not result.get("failed"), (number, result)
            assert _is_answering(made)
            again = made.run()
            assert not again["changed"], again
            assert {media_id: made.downloaded(media_id) for media_id in made.media} == made.media
            made.wipe()
        assert killed >= _ROUNDS // 3
