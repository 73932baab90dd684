# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what Synapse's own code reads from configuration files and directories, as JSON: PATH..."""

from __future__ import annotations

import contextlib
import json
import sys

from synapse.config._base import find_config_files, read_config_files

# It prints which files it ignores.
with contextlib.redirect_stdout(sys.stderr):
    settings = read_config_files(find_config_files(sys.argv[1:]))
print(json.dumps(settings))
