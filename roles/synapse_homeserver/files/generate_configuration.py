# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let Synapse make its first configuration and its signing key, and put both in place whole or not at all.

What to make comes as JSON on standard input. Whatever is in its place already stays as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys

# What the role always sets itself, as whole blocks. Two files with one of them would look like a mistake.
BLOCKS_OF_ROLE = r"(?m)^(?:listeners|database):.*\n(?:[ #-].*\n|\n)*"
MARK = "# Made by the role matrix_ops.synapse.synapse_homeserver, which keeps what it sets in a file of its own.\n"

wanted = json.load(sys.stdin)
directory, name = os.path.split(wanted["config_path"])
# A run that lost its connection may still be at it.
lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
fcntl.flock(lock, fcntl.LOCK_EX)
if os.path.lexists(wanted["config_path"]):
    sys.exit()
# What one that was killed has left.
work = os.path.join(directory, ".matrix_ops-generating")
with contextlib.suppress(FileNotFoundError):
    shutil.rmtree(work)
os.mkdir(work, 0o700)
made = os.path.join(work, name)
done = subprocess.run(
    [
        sys.executable,
        "-m",
        "synapse.app.homeserver",
        "--generate-config",
        f"--server-name={wanted['server_name']}",
        f"--report-stats={'yes' if wanted['report_stats'] else 'no'}",
        f"--config-path={made}",
        f"--config-directory={work}",
        f"--data-directory={wanted['data_directory']}",
    ],
    cwd=work,
    check=False,
)
if done.returncode:
    shutil.rmtree(work)
    sys.exit(done.returncode)
with open(made, encoding="utf-8") as file:
    text = file.read()
text = text.replace(f"{work}/{wanted['server_name']}.log.config", wanted["log_config"]).replace(work, directory)
with open(made, "w", encoding="utf-8") as file:
    file.write(MARK + re.sub(BLOCKS_OF_ROLE, "", text))
key = f"{wanted['server_name']}.signing.key"
# The key before the file that names it: a server whose key is missing would get another one, and be another server.
for source, target in ((os.path.join(work, key), os.path.join(directory, key)), (made, wanted["config_path"])):
    if wanted["group"]:
        shutil.chown(source, group=wanted["group"])
    os.chmod(source, 0o640)
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(source, target)
shutil.rmtree(work)
