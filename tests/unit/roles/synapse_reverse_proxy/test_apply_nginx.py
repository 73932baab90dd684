# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and nginx say about a failure is not lost."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import apply_nginx


class Outcry(apply_nginx.Outcry):
    """An nginx that says this."""

    def __init__(self, said: str) -> None:
        self.said = said

    def text(self) -> str:
        return self.said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "Failed to start nginx.service: Unit nginx.service is masked."),
        ("nginx: [emerg] bind() failed\n", "[emerg] bind() failed"),
    ],
)
def test_the_reason_is_that_of_nginx_or_else_that_of_systemd(
    said: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        words = "Failed to start nginx.service:\n Unit nginx.service is masked.\n"
        return subprocess.CompletedProcess(command, 1, "", words)

    monkeypatch.setattr(apply_nginx, "run", run)
    assert apply_nginx.bring_about("start", Outcry(said)) == expected
    assert commands == [["systemctl", "start", "nginx.service"]]
