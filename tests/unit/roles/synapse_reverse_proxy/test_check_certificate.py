# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that clients or nginx would refuse is refused before nginx has it."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import check_certificate

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="it needs openssl")


class Files:
    """A directory with an authority, and certificates that it has signed."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        (path / "ca.cnf").write_text(
            "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
            "policy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n",
            encoding="ascii",
        )
        (path / "index").touch()
        (path / "serial").write_text("01", encoding="ascii")
        self.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -subj /CN=ca"
        )

    def openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self.path, check=True, capture_output=True)

    def make(self, name: str, *, names: str = "DNS:a.example,DNS:*.b.example", start: str = "", end: str = "") -> None:
        self.openssl(
            f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr "
            f"-subj /CN=x -addext subjectAltName={names}"
        )
        self.openssl(
            f"ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -in {name}.csr -out {name}.crt "
            f"-startdate {start or '20200101000000Z'} -enddate {end or '20990101000000Z'}"
        )
        (self.path / f"{name}.key").chmod(0o600)

    def faults(self, certificate: str, key: str, *names: str) -> list[str]:
        found = check_certificate.certificate_faults(
            str(self.path / certificate), str(self.path / key), list(names or ["a.example"])
        )
        return [sentence.replace(f"{self.path}/", "") for sentence in found]


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    made = Files(tmp_path)
    made.make("good")
    return made


def test_a_right_certificate_is_accepted(files: Files) -> None:
    both = (files.path / "good.crt").read_text() + (files.path / "ca.crt").read_text()
    (files.path / "chain.crt").write_text(both, encoding="ascii")
    (files.path / "one.pem").write_text((files.path / "good.key").read_text() + both, encoding="ascii")
    assert files.faults("good.crt", "good.key", "A.example", "m.b.example") == []
    assert files.faults("chain.crt", "good.key") == []
    (files.path / "one.pem").chmod(0o640)
    assert files.faults("one.pem", "one.pem") == []
    files.make("ip", names="IP:192.0.2.1,IP:2001:db8::1")
    assert files.faults("ip.crt", "ip.key", "192.0.2.1", "[2001:db8::1]") == []


def test_what_clients_refuse_is_refused(files: Files) -> None:
    about = " (synapse_reverse_proxy_certificate_path) "
    files.make("old", end="20200201000000Z")
    assert files.faults("old.crt", "old.key", "a.example", "x") == [f"old.crt{about}has expired. Renew it first."]
    files.make("new", start="20980101000000Z")
    (sentence,) = files.faults("new.crt", "new.key")
    assert sentence.startswith(f"new.crt{about}is not valid yet.")
    (sentence,) = files.faults("good.crt", "good.key", "c.example")
    assert sentence.startswith(f"good.crt{about}is not valid for c.example (synapse_reverse_proxy_public_name).")
    (sentence,) = files.faults("good.crt", "good.key", "a.example", "192.0.2.1")
    assert sentence.startswith(f"good.crt{about}is not valid for 192.0.2.1 (synapse_reverse_proxy_server_name).")


def test_files_that_do_not_fit_are_refused(files: Files) -> None:
    files.make("other")
    (sentence,) = files.faults("good.crt", "other.key")
    assert sentence.startswith("other.key (synapse_reverse_proxy_private_key_path) is not the key of good.crt")
    files.openssl("genpkey -algorithm ed25519 -out kind.key")
    (sentence,) = files.faults("good.crt", "kind.key")
    assert sentence.startswith("kind.key (synapse_reverse_proxy_private_key_path) is not the key of good.crt")
    turned = (files.path / "ca.crt").read_text() + (files.path / "good.crt").read_text()
    (files.path / "turned.crt").write_text(turned, encoding="ascii")
    (sentence,) = files.faults("turned.crt", "good.key")
    assert sentence.startswith("turned.crt (synapse_reverse_proxy_certificate_path) begins with the certificate of an")
    (sentence,) = files.faults("good.key", "good.key")
    assert sentence == "good.key (synapse_reverse_proxy_certificate_path) contains no certificate in PEM format."
    (sentence,) = files.faults("good.crt", "good.crt")
    assert sentence == "good.crt (synapse_reverse_proxy_private_key_path) contains no private key in PEM format."
    found = files.faults("none.crt", "ca.cnf/none.key")
    assert [sentence.split(" ")[0] for sentence in found] == ["none.crt", "ca.cnf/none.key"]


def test_a_key_with_a_password_is_refused(files: Files) -> None:
    files.openssl("pkey -in good.key -aes256 -passout pass:secret -out locked.key")
    (sentence,) = files.faults("good.crt", "locked.key")
    assert sentence.startswith("locked.key (synapse_reverse_proxy_private_key_path) has a password")


def test_what_is_no_certificate_inside_is_refused(files: Files) -> None:
    text = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (files.path / "bad.crt").write_text(text, encoding="ascii")
    (sentence,) = files.faults("bad.crt", "good.key")
    assert sentence.startswith("bad.crt (synapse_reverse_proxy_certificate_path) and good.key (")
    assert " cannot be used: " in sentence


def test_a_key_for_all_users_is_refused(files: Files) -> None:
    (files.path / "good.key").chmod(0o644)
    files.path.chmod(0o700)
    assert files.faults("good.crt", "good.key") == []
    for directory in (files.path, *files.path.parents):
        if not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o001)
    (sentence,) = files.faults("good.crt", "good.key")
    assert sentence.startswith("All users of this host can read or change good.key")


def test_a_chain_in_the_right_order_can_have_another_key(files: Files) -> None:
    files.make("other")
    both = (files.path / "good.crt").read_text() + (files.path / "ca.crt").read_text()
    (files.path / "chain.crt").write_text(both, encoding="ascii")
    (sentence,) = files.faults("chain.crt", "other.key")
    assert sentence.startswith("other.key (synapse_reverse_proxy_private_key_path) is not the key of chain.crt")
