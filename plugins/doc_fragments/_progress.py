# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """How to show the progress of a module: see `progress_argument_spec` in `_argument_spec`."""

    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether to show how far the module is while it runs, from time to time one line on the standard error of
        Ansible. The lines contain numbers and the name of the host, also with C(no_log). The result is the same.
      - With V(auto) the lines are shown if the standard error of Ansible is a terminal, and the environment variable
        E(CI) is not set. With C(ssh), its arguments must have C(ControlMaster) and C(ControlPersist) turned on, as they
        have by default, because otherwise each line would need a login of its own.
      - With V(always) they are also shown without a terminal, and with V(never) they are not shown.
      - There are no lines in the first two seconds, with C(async), and on hosts without Linux.
      - For each line, a short command reads the progress on the host of the module, with the same C(become). It looks
        for the process of the module, reads nothing of the processes of other users, and ends after a few seconds in
        any case. It needs the commands C(find), C(grep), C(head), C(id), C(stat) and C(timeout), which each Debian has.
        Without them there are no lines.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
"""
