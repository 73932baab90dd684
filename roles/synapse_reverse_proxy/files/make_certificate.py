# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a certificate that is signed with its own key, for tests."""

from __future__ import annotations

import os
import re
import socket
import ssl
import stat
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import (
    MARK,
    read,
    run,
    words,
)

# Thirty days, in seconds: a certificate that ends sooner is replaced.
LEAST_VALIDITY = 30 * 86400
VALID_DAYS = "365"


def certificate_names(path: str) -> set[str] | None:
    """Return the names in a certificate, or None if it ends too soon or is none."""
    shown = run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(LEAST_VALIDITY), "-ext", "subjectAltName"])
    if shown.returncode:
        return None
    found = re.findall(r"(?:DNS|IP Address):([^,\s]+)", shown.stdout)
    return {address_text(name) for name in found}


def is_usable(path: str, names: list[str]) -> bool:
    """Return whether a file is a certificate for exactly these names with its key, and of its owner alone."""
    if not os.path.isfile(path) or stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except ssl.SSLError:
        return False
    return certificate_names(path) == set(map(address_text, names))


def address_text(name: str) -> str:
    """Return a name without its case, or an IP address in its shortest form."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, name.strip("[]")))
        except OSError:
            continue
    return name.lower()


def make_certificate(names: list[str], path: str) -> None:
    """Write a certificate for these names, signed with its own key, and the key, to a file; raises `OSError`."""
    plain = [address_text(name) for name in names]
    alternatives = ",".join(("IP:" if re.search(r":|[.][0-9]+\Z", name) else "DNS:") + name for name in plain)
    with tempfile.TemporaryDirectory() as directory:
        made = [os.path.join(directory, name) for name in ("key", "certificate")]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", VALID_DAYS, "-subj", "/CN=self-signed by matrix_ops.synapse"]
        command += ["-addext", f"subjectAltName={alternatives}", "-keyout", made[0], "-out", made[1]]
        done = run(command)
        if done.returncode:
            raise OSError(f"openssl cannot make a certificate: {words(done.stderr)}")
        text = f"# Made by the role {MARK}.synapse_reverse_proxy, for tests: a key and its self-signed certificate.\n"
        text += "".join(read(name) or "" for name in made)
    # A run that was killed may have left this file, which nobody reads.
    unfinished = f"{path}.unfinished"
    if os.path.lexists(unfinished):
        os.unlink(unfinished)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, path)


def main(question: dict[str, t.Any]) -> None:
    """Make the certificate that the question describes."""
    make_certificate(question["names"], question["self_signed_path"])
