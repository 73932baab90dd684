# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authority of one's own that issues certificates for names on this machine."""

from __future__ import annotations

import dataclasses
import subprocess
import typing as t
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The files of a certificate: itself, its private key, and both in one file, as HAProxy reads them."""

    certificate: Path
    key: Path
    both: Path


@dataclasses.dataclass(frozen=True)
class Authority:
    """An authority. `certificate`: what has to be trusted."""

    certificate: Path
    key: Path
    directory: Path

    def issue(self, names: t.Sequence[str], days: int = 90) -> Certificate:
        """Return a certificate for these host names; with days below zero it has expired."""
        stem = self.directory / f"{len(list(self.directory.glob('*.csr')))}-{names[0]}"
        paths = [stem.with_name(stem.name + suffix) for suffix in (".crt", ".key", ".csr", ".ext", ".pem")]
        certificate, key, request, extensions, both = paths
        alternatives = ",".join(f"DNS:{name}" for name in names)
        extensions.write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
        signed = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", str(days))
        _openssl("x509", "-req", "-in", request, *signed, "-extfile", extensions, "-out", certificate)
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        return Certificate(certificate, key, both)


def make_authority(directory: Path) -> Authority:
    """Return a new authority, whose files are in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory / "authority.crt", directory / "authority.key", directory)
    written = ("-keyout", authority.key, "-out", authority.certificate)
    _openssl("req", "-x509", *_NEW_KEY, *written, "-days", "90", "-subj", "/CN=An authority of the tests")
    return authority


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
