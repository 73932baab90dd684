# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import (
    advice_for,
    advice_for_archive,
    advice_for_options,
)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL:  password authentication failed for user "s"', "Check the password in /etc/homeserver.yaml."),
        ('FATAL:  Peer authentication failed for user "s"', "Check the password in /etc/homeserver.yaml."),
        ("fe_sendauth: no password supplied", "Check the password in /etc/homeserver.yaml."),
        ('FATAL:  no pg_hba.conf entry for host "::1"', "Check the password in /etc/homeserver.yaml."),
        (
            "Connection refused",
            "Check that PostgreSQL runs, and that Synapse uses the configuration /etc/homeserver.yaml.",
        ),
        ('FATAL:  database "x" does not exist', "Check that PostgreSQL runs, "),
    ],
)
def test_advice(said: str, advice: str) -> None:
    assert advice_for("/etc/homeserver.yaml").on(said).startswith(advice)


def test_what_no_file_on_the_host_sets() -> None:
    """There is no file to look at."""
    refused, unreachable = 'FATAL:  password authentication failed for user "s"', "Connection refused"
    assert advice_for_options("createdb x").on(refused).startswith("Check login_user and login_password")
    assert advice_for_options("createdb x").on(unreachable).endswith("create it with createdb x")
    assert advice_for_archive("/c.yaml", "createdb x").on(refused).startswith("/c.yaml in the archive sets")
    assert advice_for_archive("/c.yaml", "createdb x").on(unreachable).endswith("or create it with createdb x")
