# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Right configurations of the reverse proxies: the same for HTTP and for HTTPS, each on a port of 127.0.0.1.

A test makes them wrong in one place. Comments name the places where a line can be added: `# place 1` is where the whole
server is described, and `# place 2` where requests are forwarded. BLOCK is all from `# forwarding` to `# forwarded`.
"""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import re
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract import proxies
from ansible_collections.matrix_ops.synapse.tests.contract.certificates import Certificate

# What stands for the whole block that forwards requests.
BLOCK = "# forwarding"
_BLOCK = re.compile(r"(?<=# forwarding\n).*?(?=^ *# forwarded$)", re.DOTALL | re.MULTILINE)

# The modules of Apache that the configuration needs, in addition to those that are built into its program.
_APACHE_MODULES = ("mpm_event", "authz_core", "env", "headers", "proxy", "proxy_http", "rewrite", "setenvif", "ssl")


@dataclasses.dataclass(frozen=True)
class Wiring:
    """What a configuration is made for: where Synapse is, on which ports the proxy listens, and its certificate.

    `delegated`: Synapse serves both well-known files. Otherwise it only serves that for clients.
    """

    directory: Path
    backend_port: int
    http_port: int
    https_port: int
    certificate: Certificate
    server_name: str
    delegated: bool = True

    @property
    def backend(self) -> str:
        """The address of Synapse."""
        return f"127.0.0.1:{self.backend_port}"

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of the proxy: HTTP and HTTPS."""
        return self.http_port, self.https_port

    @property
    def well_known(self) -> str:
        """The beginning of the paths of the well-known files that are forwarded."""
        return "/.well-known/matrix/" if self.delegated else "/.well-known/matrix/client"


def right(kind: str, wiring: Wiring) -> str:
    """Return a right configuration of nginx, apache, caddy or haproxy."""
    return _RIGHT[kind](wiring)


def replaced(text: str, old: str, new: str) -> str:
    """Return a configuration with something else in place of a text, or of the whole BLOCK, wherever it is.

    Raises AssertionError if it is not there.
    """
    if old == BLOCK:
        assert _BLOCK.search(text), text
        return _BLOCK.sub(lambda found: f"{new}\n", text)
    assert old in text, f"{old} is not in:\n{text}"
    return text.replace(old, new)


def _nginx(wiring: Wiring) -> str:
    kept = "".join(
        f"    {module}_temp_path {wiring.directory}/{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
master_process off;
user {pwd.getpwuid(os.geteuid()).pw_name};
pid {wiring.directory}/nginx.pid;
events {{}}
http {{
    access_log off;
{kept}
    server {{
        listen 127.0.0.1:{wiring.http_port};
        listen 127.0.0.1:{wiring.https_port} ssl;
        server_name {wiring.server_name};
        ssl_certificate {wiring.certificate.certificate};
        ssl_certificate_key {wiring.certificate.key};
        # place 1
        location {wiring.well_known} {{
            proxy_pass http://{wiring.backend};
        }}
        # forwarding
        location ~ ^(/_matrix|/_synapse/client) {{
            # place 2
            proxy_pass http://{wiring.backend};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            client_max_body_size 50M;
            proxy_read_timeout 600s;
        }}
        # forwarded
    }}
}}
"""


def _apache(wiring: Wiring) -> str:
    modules = proxies.apache_modules()
    load = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in _APACHE_MODULES)
    host = f"""\
    ServerName {wiring.server_name}
    # place 1
    ProxyPass {wiring.well_known} http://{wiring.backend}{wiring.well_known} nocanon
    # forwarding
    AllowEncodedSlashes NoDecode
    MergeSlashes Off
    ProxyPass /_matrix http://{wiring.backend}/_matrix nocanon
    ProxyPass /_synapse/client http://{wiring.backend}/_synapse/client nocanon
    # forwarded
    ProxyPreserveHost On
    RequestHeader unset X-Forwarded-For
    RequestHeader set X-Forwarded-Proto expr=%{{REQUEST_SCHEME}}
    ProxyTimeout 600
    # place 2
"""
    # It refuses to serve requests as root. Other users need no rights for these lines.
    nobody = pwd.getpwnam("nobody")
    return f"""\
{load}
User nobody
Group {grp.getgrgid(nobody.pw_gid).gr_name}
ServerName {wiring.server_name}
PidFile {wiring.directory}/apache.pid
DefaultRuntimeDir {wiring.directory}
ErrorLog {wiring.directory}/error.log
ServerLimit 1
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 16
MinSpareThreads 1
MaxSpareThreads 16
Listen 127.0.0.1:{wiring.http_port}
Listen 127.0.0.1:{wiring.https_port}
<VirtualHost 127.0.0.1:{wiring.http_port}>
{host}</VirtualHost>
<VirtualHost 127.0.0.1:{wiring.https_port}>
    SSLEngine on
    SSLCertificateFile {wiring.certificate.certificate}
    SSLCertificateKeyFile {wiring.certificate.key}
{host}</VirtualHost>
"""


def _caddy(wiring: Wiring) -> str:
    return f"""\
{{
    admin off
    auto_https off
    grace_period 1s
    servers {{
        protocols h1 h2
    }}
}}
(matrix) {{
    bind 127.0.0.1
    # place 1
    handle {wiring.well_known}* {{
        reverse_proxy {wiring.backend}
    }}
    # forwarding
    @matrix path /_matrix/* /_synapse/client/*
    handle @matrix {{
        reverse_proxy {wiring.backend} {{
            # place 2
        }}
    }}
    # forwarded
    handle {{
        respond 404
    }}
}}
http://:{wiring.http_port} {{
    import matrix
}}
https://:{wiring.https_port} {{
    tls {wiring.certificate.certificate} {wiring.certificate.key}
    import matrix
}}
"""


def _haproxy(wiring: Wiring) -> str:
    return f"""\
global
    expose-experimental-directives
    # place 3
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend matrix
    bind 127.0.0.1:{wiring.http_port}
    bind 127.0.0.1:{wiring.https_port} ssl crt {wiring.certificate.both}
    # place 1
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    use_backend synapse if {{ path_beg {wiring.well_known} }}
    # forwarding
    acl matrix path_beg /_matrix /_synapse/client
    use_backend synapse if matrix
    # forwarded
    default_backend nothing
backend synapse
    # place 2
    server synapse {wiring.backend}
backend nothing
    http-request deny deny_status 404
"""


_RIGHT: dict[str, t.Callable[[Wiring], str]] = {
    "nginx": _nginx,
    "apache": _apache,
    "caddy": _caddy,
    "haproxy": _haproxy,
}
