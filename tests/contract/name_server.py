# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name server of one's own, dnsmasq, which knows the records that a test gives it, and asks no other."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import socket
import subprocess
import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract import proxies, servers
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_OPTIONS = (
    "--keep-in-foreground",
    "--no-resolv",
    "--no-hosts",
    "--conf-file=/dev/null",
    "--pid-file=",
    "--bind-interfaces",
)


@contextlib.contextmanager
def running(*services: tuple[str, str, int]) -> t.Iterator[str]:
    """Run a name server with SRV records (name, target, port), and give its address as `nameservers` expects it."""
    [port] = servers.free_ports(1)
    records = [f"--srv-host={','.join(str(part) for part in service)}" for service in services]
    command = [proxies.program("dnsmasq"), *_OPTIONS, "--listen-address=127.0.0.1", f"--port={port}", *records]
    # Of other names it says that they do not exist, instead of refusing to answer.
    command += ["--local=/#/", f"--user={pwd.getpwuid(os.geteuid()).pw_name}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(functools.partial(_listens, process, port), bool)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"dnsmasq has ended: {process.communicate()[1].decode(errors='replace')}"
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    return False
