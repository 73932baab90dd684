# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets all runs of ansible-playbook in one run of the tests use the same built modules.

Ansible collects the sources of a module and of all that it imports into a zip file, once in each run. This takes a
fifth of a second for each module, and the result is always the same, because the tests do not change the collection.
"""

from __future__ import annotations

import os

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: payloads_once
type: aggregate
short_description: Share built modules between runs
description: Keeps the built modules in the directory that the environment variable PAYLOADS names.
requirements: []
"""


class CallbackModule(CallbackBase):
    """Puts a link to the shared directory where Ansible keeps its built modules during a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payloads_once"

    def __init__(self) -> None:
        super().__init__()
        os.symlink(os.environ["PAYLOADS"], os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
