# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try in each directory that is an argument to make a file, to read it and to remove it. Say what failed, as JSON."""

from __future__ import annotations

import json
import os
import secrets
import sys

failures = {}
for directory in sys.argv[1:]:
    path = os.path.join(directory, f".matrix_ops-{secrets.token_hex(8)}")
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            os.unlink(path)
            file.write(b"written")
            file.seek(0)
            if file.read() != b"written":
                failures[directory] = "what was written there cannot be read"
    except OSError as error:
        failures[directory] = error.strerror
print(json.dumps(failures))
