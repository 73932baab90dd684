# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interruption import (
    Interrupted,
    interruptible,
    told_of,
)


def test_a_signal_becomes_an_error_and_a_second_one_does_not_disturb_the_way_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    undone = False
    with pytest.raises(SynapseError, match="The move was interrupted by SIGTERM"), interruptible("The move"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            undone = True
    assert undone
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible("The move"):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_catches_errors_in_between_lets_a_signal_pass() -> None:
    with pytest.raises(SynapseError, match="The reset was interrupted by SIGINT"), interruptible("The reset"):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Exception as error:
            raise SynapseError("Synapse did not start.") from error


def test_told_of() -> None:
    assert told_of(Interrupted("The move was interrupted.")).message == "The move was interrupted."
    assert told_of(SynapseError("The disk is full.")).message == "The disk is full."
