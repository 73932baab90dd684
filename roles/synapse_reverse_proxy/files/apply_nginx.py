# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let nginx test and use its files, and wait until it does."""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import (
    Nginx,
    reasons,
    run,
    words,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.listening_sockets import taken_ports

# In seconds, for new processes of nginx.
RELOAD_LIMIT = 15


class Outcry:
    """What nginx says in its log and in the journal from now on."""

    def __init__(self, nginx: Nginx) -> None:
        self.log = nginx.error_log
        self.size = os.stat(self.log).st_size if os.path.exists(self.log) else 0
        self.since = f"@{time.time():.3f}"

    def text(self) -> str:
        """Return the reasons for which nginx did not do something."""
        journal = run(["journalctl", "--quiet", "--unit=nginx.service", f"--since={self.since}", "--output=cat"]).stdout
        said = ""
        if os.path.exists(self.log):
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(self.size)
                said = log.read()
        return "\n".join(line for line in (said + journal).splitlines() if "[emerg]" in line)


def bring_about(verb: str, outcry: Outcry) -> str:
    """Let systemd reload, start or restart nginx, and return why nginx has not read its files, or nothing."""
    # The kernel rounds the start of a process down to its ticks.
    asked = time.time() - 2 / os.sysconf("SC_CLK_TCK")
    done = run(["systemctl", verb, "nginx.service"])
    deadline = time.monotonic() + RELOAD_LIMIT
    while done.returncode == 0 and time.monotonic() < deadline:
        now = Nginx()
        if now.active and now.started() >= asked:
            return ""
        if "still could not bind()" in outcry.text():
            break
        time.sleep(0.1)
    return reasons(outcry.text()) or words(done.stderr) or f"it did not do so within {RELOAD_LIMIT} seconds."


def main(question: dict[str, t.Any]) -> None:
    """Let nginx use its files; raises `OSError` with nginx's own words if it does not."""
    nginx = Nginx()
    # The program may have been removed before its configuration.
    if not nginx.active and question["state"] == "absent":
        return
    tested = run([nginx.path, "-t"])
    if tested.returncode:
        raise OSError(f"nginx refuses the configuration: {reasons(tested.stderr)}")
    outcry = Outcry(nginx)
    refused = bring_about("reload" if nginx.active else "start", outcry)
    # nginx cannot listen on one address while its earlier processes listen on all of them, or the other way round. If
    # other ports are the cause, nginx would not start again.
    busy = set(re.findall(r"bind\(\) to \S*:([0-9]+) failed", outcry.text()))
    if refused and nginx.active and busy and busy <= set(question["port_names"]) and not taken_ports(question):
        refused = bring_about("restart", Outcry(nginx))
    if refused:
        raise OSError(
            f"nginx does not {'use its new configuration' if nginx.active else 'start'}: {refused.rstrip('.')}. "
            "journalctl --unit=nginx.service shows more."
        )
    if question["state"] == "present" and not nginx.enabled:
        enabled = run(["systemctl", "enable", "nginx.service"])
        if enabled.returncode:
            raise OSError(f"nginx.service cannot be enabled: {words(enabled.stderr)}")
