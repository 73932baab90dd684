# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx says is shown as it is, and files of others are known as such."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import host_of_nginx


def test_processes_that_were_replaced_have_the_configuration_of_the_last_reload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nginx = host_of_nginx.Nginx.__new__(host_of_nginx.Nginx)
    nginx.__dict__.update({"main_pid": 1, "told_at": 0.0})
    now = time.time()
    found = {
        "1": (1, 0, "nginx: master process", now - 90),
        "2": (2, 1, "nginx: worker process", now - 20),
        "3": (3, 1, "nginx: worker process", now - 30),
        "4": (4, 1, "nginx: worker process is shutting down", now - 80),
        "5": (5, 2, "worker process of another program", now - 80),
    }
    monkeypatch.setattr(host_of_nginx, "process_of", found.get)
    monkeypatch.setattr(os, "listdir", lambda _path: ["x", *found])
    assert nginx.started() == now - 30
    monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    nginx.told_at = monotonic - 60
    assert nginx.started() == pytest.approx(now - 60, abs=1)
    nginx.told_at = monotonic - 10
    assert nginx.started() == now - 30


def test_reasons_are_shown_once() -> None:
    said = "2026/01/02 03:04:05 [warn] 7#7: old\n2026/01/02 03:04:05 [emerg] 7#7: bad\nnginx: [emerg] bad\n"
    assert host_of_nginx.reasons(said) == "[emerg] bad"
    assert host_of_nginx.reasons("Job failed.\nSee the journal.\n") == "Job failed. See the journal."


def test_a_file_of_others_is_recognized() -> None:
    assert host_of_nginx.is_foreign("server {}\n# matrix_ops.synapse\n")
    assert not host_of_nginx.is_foreign("# Written by matrix_ops.synapse\n")
    assert not host_of_nginx.is_foreign("")
    assert not host_of_nginx.is_foreign(None)
