#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_proxy_info
short_description: Find what a reverse proxy or a delegation of Synapse breaks
version_added: 1.0.0
description:
  - Sends requests to the public URL of a server, and the same ones to Synapse itself at O(base_url). It compares what
    arrives byte for byte, and returns what is wrong as RV(findings), with the lines that correct it in nginx, Apache,
    Caddy, HAProxy, Traefik and Synapse.
  - Finds why other servers log C(Invalid signature for server), so that their users cannot accept invitations. With
    O(config_path), requests are signed with Synapse's own key, and Synapse verifies its own signature.
  - Follows the delegation as other servers do, with C(.well-known) files and SRV records, and examines what they find.
  - Runs on any host. What it can find out depends on what is set. O(public_url) alone or a server name is enough for
    paths, CORS headers, certificates, delegation and the size of uploads. Synapse itself at O(base_url) proves that a
    difference comes from the proxy. The log of Synapse shows the address of the client and the version of HTTP.
  - What could not be found out is returned as RV(unknown), with the reason and a fix. It is never guessed.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._connection
attributes:
  platform:
    support: full
    platforms: posix
options:
  public_url:
    description:
      - The URL that clients use, without a path, for example V(https://matrix.example.org).
      - If it is not set, it is C(public_baseurl) of the configuration, otherwise the URL in the C(.well-known) file of
        the server name, otherwise C(https) on the host of the server name.
    type: str
  server_name:
    description:
      - The Matrix server name, for example V(example.org).
      - If it is not set, it is the name in the configuration, or the name of the server at O(base_url).
    type: str
  config_path:
    description:
      - The configuration files and directories of Synapse, on the host where the module runs.
      - List the same paths as the C(--config-path) options that Synapse is started with, in the same order.
      - The module reads the server name, the public URL, the size of uploads, whether C(x_forwarded) is set, where the
        log is, and the signing key. The key is only used to sign requests of this server to itself. It is never
        returned or sent.
    type: list
    elements: path
    default: []
  log_path:
    description:
      - The log files that Synapse writes its requests to, on the host where the module runs.
      - The default is what the log configuration of O(config_path) sets. Only what Synapse writes during the task is
        read.
    type: list
    elements: path
    default: []
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It signs the requests.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  connect_to:
    description:
      - Other addresses to connect to, as a dictionary from V(host:port) to V(host:port). IPv6 addresses are in
        brackets.
      - The name in TLS and in the request stays the same. Use it if the host cannot reach its own public address, or to
        examine a proxy before the DNS leads to it.
    type: dict
    default: {}
  nameservers:
    description:
      - Name servers to ask for SRV records, as an address or as address and port, instead of those of the system.
    type: list
    elements: str
    default: []
  gather:
    description:
      - What to find out.
      - V(body_size) announces an upload of O(max_upload_size) without a token, and sends data for at most one second.
        Synapse refuses such an upload, so that nothing is stored.
      - V(certificates) reads the certificates of the public URLs.
      - V(cors) compares the CORS headers with those of Synapse.
      - V(delegation) checks the C(.well-known) files, SRV records, port 8448 and the addresses in IPv6.
      - V(exposure) requests a part of the Admin API that needs no token, the metrics and C(/health) through the public
        URLs.
      - V(headers) checks which host, protocol, address and version of HTTP the proxy forwards. Except for the host and
        the protocol, it needs the log.
      - V(long_poll) waits for events for O(long_poll_seconds), as clients do. It needs an access token, and is not part
        of the default, because it takes long.
      - V(paths) compares paths and queries with encoded characters, double slashes and slashes at their end.
      - V(signatures) sends requests that are signed with the key of the server, which needs O(config_path).
    type: list
    elements: str
    choices:
      - body_size
      - certificates
      - cors
      - delegation
      - exposure
      - headers
      - long_poll
      - paths
      - signatures
    default:
      - body_size
      - certificates
      - cors
      - delegation
      - exposure
      - headers
      - paths
      - signatures
  long_poll_seconds:
    description:
      - How many seconds V(long_poll) waits for events, at most V(120). The task takes at least as long. Nothing is
        found out about longer waits. Clients usually wait for V(30) seconds.
      - The account of the token is shown as online for a while. Use one that gets no events, because an event ends the
        wait.
    type: int
    default: 35
  max_upload_size:
    description:
      - The largest upload that must pass, in bytes or with one of the suffixes V(K), V(M) and V(G), as in the
        configuration of Synapse.
      - The default is C(max_upload_size) of the configuration, and V(50M) without O(config_path), which is Synapse's
        default.
    type: str
  signature_failures:
    description:
      - The return value C(signature_failures) of M(matrix_ops.synapse.synapse_request_log_info). RV(signature_verdicts)
        reports which side has to change something.
    type: list
    elements: dict
    default: []
notes:
  - No more than 60 requests are sent, all to the public URLs of this server, to its server name, to where the
    C(.well-known) files there are redirected, and to O(base_url). None of them changes an account, a room or media, or
    makes Synapse contact another server. Synapse logs warnings for the requests without a signature.
  - O(validate_certs), O(ca_path) and O(timeout) also apply to the public URLs. With O(validate_certs=false), the chain
    of a certificate is not judged, but its names and dates are. No request waits for more than 10 seconds, except for
    O(long_poll_seconds), and where two had no answer in time, further ones wait for at most 5 seconds.
  - Nothing waits because of a limit of requests, so O(rate_limit_retry_timeout) has no effect. What could not be asked
    is returned as RV(unknown).
  - The access token is only read for V(long_poll). It is only sent over C(https), or to an address of the host itself.
  - A limit that depends on the address, such as an Admin API for private networks only, is seen from the host where the
    module runs.
seealso:
  - module: matrix_ops.synapse.synapse_request_log_info
  - module: matrix_ops.synapse.synapse_federation_info
  - name: Using a reverse proxy with Synapse
    description: The documentation of Synapse.
    link: https://element-hq.github.io/synapse/latest/reverse_proxy.html
  - name: Resolving server names
    description: How other servers find a server, in the specification of Matrix.
    link: https://spec.matrix.org/latest/server-server-api/#resolving-server-names
requirements:
  - dnspython 2.0 or later on the host where the module runs, if SRV records are needed to find the server
  - PyYAML on the host where the module runs, if the configuration is read
"""

EXAMPLES = r"""
- name: Find what the reverse proxy breaks, on the host of Synapse
  matrix_ops.synapse.synapse_proxy_info:
    public_url: https://matrix.example.org
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
  register: synapse_proxy

- name: Show what is wrong, and the lines for the proxy that answers
  ansible.builtin.debug:
    msg:
      - "{{ item.severity }}: {{ item.what }}"
      - "{{ item.fix[synapse_proxy.proxy] | default(item.fix) }}"
  loop: "{{ synapse_proxy.findings }}"
  loop_control:
    label: "{{ item.name }}"

- name: Examine a server from anywhere
  matrix_ops.synapse.synapse_proxy_info:
    server_name: example.org
  delegate_to: localhost

- name: Fail if paths or signatures do not pass through the proxy
  matrix_ops.synapse.synapse_proxy_info:
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    gather:
      - paths
      - signatures
  register: synapse_proxy
  failed_when: synapse_proxy.findings | selectattr('severity', 'eq', 'error') | length > 0

- name: Examine a new proxy before the DNS leads to it
  matrix_ops.synapse.synapse_proxy_info:
    public_url: https://matrix.example.org
    connect_to:
      "matrix.example.org:443": 192.0.2.10:443
      "example.org:443": 192.0.2.10:443

- name: Check that the proxy waits for events as long as clients do
  matrix_ops.synapse.synapse_proxy_info:
    public_url: https://matrix.example.org
    access_token_path: /root/.synapse-token
    gather:
      - long_poll
    long_poll_seconds: 60

- name: Find the failed signatures of the last day
  matrix_ops.synapse.synapse_request_log_info:
    gather:
      - signature_failures
    since: "-1d"
  register: request_log

- name: Find out which side causes them
  matrix_ops.synapse.synapse_proxy_info:
    public_url: https://matrix.example.org
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    signature_failures: "{{ request_log.signature_failures }}"
  register: synapse_proxy

- name: Show the servers for which this server has to change something
  ansible.builtin.debug:
    msg: "{{ item.what }} {{ item.fix }}"
  loop: "{{ synapse_proxy.signature_verdicts | selectattr('side', 'eq', 'ours') }}"
  loop_control:
    label: "{{ item.origin }}"
"""

RETURN = r"""
server_name:
  description: The Matrix server name that was examined.
  returned: success
  type: str
  sample: example.org
public_url:
  description: The URL of clients that was examined.
  returned: success
  type: str
  sample: https://matrix.example.org
findings:
  description:
    - What is wrong, errors first. Empty if nothing is.
    - One cause is one finding for each site, also if several groups of paths are affected.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - V(unreachable), V(name_not_found) and V(tls_failed) - There is no connection to the public URL, its name does
          not exist, or there is no TLS.
        - V(certificate_wrong_name), V(certificate_expired), V(certificate_not_trusted), V(certificate_expires_soon) -
          The certificate is for other names, is not valid now, is self-signed or without its intermediate certificate,
          or expires within 14 days.
        - V(ipv6_unreachable) - The name has an IPv6 address, but nothing answers there.
        - V(not_matrix) - Another program answers, or the proxy asks for a password.
        - V(redirected) and V(redirect_loop) - The answer is a redirect, to elsewhere or to the same URL.
        - V(another_server) - Another Matrix server answers.
        - V(proxy_error) - The proxy does not reach Synapse.
        - V(path_decoded) - The proxy decodes encoded characters, so that signatures do not match.
        - V(path_encoded_twice) - The proxy encodes encoded characters again.
        - V(path_refused) - The proxy refuses encoded characters in paths or queries itself.
        - V(path_merged) - The proxy merges double slashes.
        - V(path_slash_removed) and V(path_slash_added) - The proxy changes the slash at the end of a path.
        - V(path_rewritten) - The proxy changes the path in another way, for example its beginning.
        - V(path_not_forwarded) - The proxy does not forward a group of paths to Synapse.
        - V(errors_replaced) - The proxy sends pages of its own instead of Synapse's errors.
        - V(query_changed) and V(query_cut) - The proxy changes the query, or removes it or a part of it.
        - V(long_url_refused) - The proxy refuses a long URL.
        - V(signature_broken) - Synapse refuses its own signature if the request comes through the proxy.
        - V(authorization_removed) - The proxy removes the header C(Authorization).
        - V(host_wrong), V(forwarded_proto_wrong) and V(forwarded_proto_missing) - The proxy does not forward the host
          or the protocol as the client used it.
        - V(forwarded_for_missing) - The proxy does not forward the address of the client.
        - V(forwarded_for_spoofable) - The proxy forwards an address that the client chooses.
        - V(forwarded_for_ignored) - C(x_forwarded) is not set for the listener of Synapse.
        - V(http_1_0) - The proxy uses HTTP/1.0, with a new connection for each request.
        - V(body_limit) - The proxy refuses uploads that Synapse accepts.
        - V(read_timeout) - The proxy does not wait for an answer as long as clients do.
        - V(answer_delayed) - The proxy holds answers back.
        - V(cors_missing), V(cors_doubled) and V(cors_preflight) - The CORS headers are missing, exist twice, or are
          wrong in the answer to C(OPTIONS), so that clients in a browser do not work.
        - V(admin_api_public) and V(metrics_public) - The Admin API or the metrics can be reached through the proxy.
        - V(health_of_another_server) - C(/health) is answered by another program.
        - V(well_known_missing), V(well_known_invalid), V(well_known_content_type), V(well_known_cors) and
          V(well_known_redirect) - A C(.well-known) file does not exist, has a wrong content, type or CORS header, or
          there are redirects that not all servers or clients follow.
        - V(port_8448_closed) - Other servers use port 8448, but nothing listens there.
        - V(srv_invalid) - An SRV record must not lead to an address or to an alias.
        - V(public_url_differs) - Clients are told another URL than the examined one.
      returned: always
      type: str
      sample: path_decoded
    what:
      description: What is wrong, in one sentence.
      returned: always
      type: str
      sample: >-
        The proxy decodes %2F in paths of the groups federation and key, so that signatures of other servers fail.
    severity:
      description:
        - V(error) if clients or other servers fail, V(warning) if it is wrong in some cases or unsafe, V(info) if it is
          only worth knowing.
      returned: always
      type: str
      sample: error
    site:
      description:
        - V(client) for the URL of clients, V(federation) for that of other servers. If both are the same, it is
          V(client).
      returned: always
      type: str
      sample: client
    groups:
      description:
        - The groups of paths that are affected, of V(client), V(federation), V(key), V(media) and V(well_known). Empty
          if it is not about paths.
      returned: always
      type: list
      elements: str
      sample:
        - federation
        - key
    evidence:
      description:
        - What shows it. C(request) is the request, and C(answer) is the status and the beginning of the answer. Where
          it helps, C(expected) is the right answer, C(arrived) is what Synapse received, and C(signature) is how
          Synapse answered to a signed request. Never contains a token or a signature.
      returned: always
      type: dict
      sample:
        request: GET https://matrix.example.org/_matrix/federation/v1/event/%24a%2Fb
        answer: '404 {"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}'
        arrived: /_matrix/federation/v1/event/$a/b
    fix:
      description:
        - The lines that correct it, for V(nginx), V(apache), V(caddy), V(haproxy), V(traefik) and V(synapse), as far as
          each of them can correct it. Empty if no configuration can.
        - C(place) is where the C(lines) belong, and C(instead_of) is what usually causes it. If C(lines) is empty,
          remove what causes it.
        - The lines are complete, and contain the address of Synapse as this module reached it. Change the address if
          the proxy runs on another host. Paths of certificates are those of Certbot.
      returned: always
      type: dict
      sample:
        nginx:
          place: In the location that forwards to Synapse. Remove every rewrite and every variable such as $uri there.
          instead_of: proxy_pass http://127.0.0.1:8008/;
          lines: proxy_pass http://127.0.0.1:8008;
signature_verdicts:
  description:
    - For each server, direction and cause in O(signature_failures), which side has to change something. Those of this
      server come first. Failures of requests in the name of this server itself are left out, because this module makes
      them.
  returned: success
  type: list
  elements: dict
  contains:
    origin:
      description: The name of the other server. Empty if it is not known.
      returned: always
      type: str
      sample: matrix.example.com
    direction:
      description: V(inbound) if this server refused a request, V(outbound) if the other server did.
      returned: always
      type: str
      sample: inbound
    cause:
      description: The cause that the log contains.
      returned: always
      type: str
      sample: invalid_signature
    count:
      description: The number of failures.
      returned: always
      type: int
      sample: 4
    side:
      description: V(ours), V(theirs) or V(unknown).
      returned: always
      type: str
      sample: ours
    reason:
      description:
        - V(proxy_changes_path) and V(proxy_removes_authorization) - The proxy of this server does it.
        - V(other_proxy_changes_path) and V(other_proxy_removes_authorization) - The proxy of the other server does it.
        - V(key_changed), V(key_not_reachable) and V(key_banned) - The key was replaced, cannot be fetched, or must not
          be used.
        - V(not_signed), V(bad_event) and V(wrong_destination) - A request or an event is not signed as it must be, or
          the request was for another server name.
        - V(clock) - The clock of this server is wrong.
        - V(federation_denied) and V(not_federation) - The other server is not allowed, or the requests do not come from
          a server.
        - V(unknown) - Nothing shows the reason.
      returned: always
      type: str
      sample: proxy_changes_path
    what:
      description: What happened, in one sentence.
      returned: always
      type: str
      sample: >-
        The proxy of this server changes requests on their way to Synapse (path_decoded), so that users of
        matrix.example.com cannot join rooms of this server or accept invitations to them.
    fix:
      description: What to do, in one sentence.
      returned: always
      type: str
      sample: Correct the proxy so that it passes on the path and the query byte for byte.
    evidence:
      description: C(line) is one of the lines in the log, and C(uris) are up to five of the paths.
      returned: always
      type: dict
      sample:
        line: "authenticate_request failed: 401: Invalid signature for server matrix.example.com"
        uris:
          - /_matrix/federation/v1/make_join/!abc:example.org/@alice:matrix.example.com
delegation:
  description: Where other servers find this server.
  returned: success
  type: dict
  contains:
    method:
      description:
        - How they find it. V(literal) and V(port) if the server name is an IP address or has a port, V(srv) and
          V(srv_deprecated) with an SRV record, V(default) with port 8448. With a C(.well-known) file, it is one of
          V(well_known_literal), V(well_known_port), V(well_known_srv), V(well_known_srv_deprecated) and
          V(well_known_default).
      returned: always
      type: str
      sample: well_known_port
    url:
      description: The URL that they send requests to.
      returned: if there is one
      type: str
      sample: https://matrix.example.org
    tls_name:
      description: The name that the certificate must be valid for.
      returned: always
      type: str
      sample: matrix.example.org
    host_header:
      description: The header C(Host) of their requests.
      returned: always
      type: str
      sample: matrix.example.org:443
    well_known:
      description: The content of the C(.well-known) file for servers.
      returned: if it exists and can be used
      type: dict
      sample:
        m.server: matrix.example.org:443
    targets:
      description: The addresses that they connect to, as host and port, those to try first in front.
      returned: always
      type: list
      elements: str
      sample:
        - matrix.example.org:443
certificates:
  description: The certificates of the public URLs. Values that cannot be read are left out.
  returned: success
  type: list
  elements: dict
  contains:
    site:
      description: V(client) or V(federation).
      returned: always
      type: str
      sample: client
    address:
      description: The host and the port.
      returned: always
      type: str
      sample: matrix.example.org:443
    name:
      description: The name that it must be valid for.
      returned: always
      type: str
      sample: matrix.example.org
    subject:
      description: The subject.
      returned: if it can be read
      type: str
      sample: CN=matrix.example.org
    issuer:
      description: The certificate authority.
      returned: if it can be read
      type: str
      sample: C=US, O=Let's Encrypt, CN=R11
    names:
      description: The names and IP addresses that it is valid for.
      returned: if it can be read
      type: list
      elements: str
      sample:
        - matrix.example.org
    not_after:
      description: When it expires (ISO 8601, UTC).
      returned: if it can be read
      type: str
      sample: "2027-01-31T12:00:00Z"
    not_after_ts:
      description: The same time in milliseconds since 1970.
      returned: if it can be read
      type: int
      sample: 1801396800000
    days_left:
      description: How many whole days are left. Negative if it has expired.
      returned: if it can be read
      type: int
      sample: 62
proxy:
  description:
    - Which proxy answers, V(nginx), V(apache), V(caddy), V(haproxy), V(traefik) or V(cloudflare). Empty if its answers
      do not show that.
  returned: success
  type: str
  sample: nginx
unknown:
  description: What could not be found out.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - The name of a finding, of a return value or of an element of O(gather), V(log_path) if the log cannot be read,
          or V(direct) if Synapse itself was not found at O(base_url).
      returned: always
      type: str
      sample: read_timeout
    reason:
      description: Why it is unknown.
      returned: always
      type: str
      sample: An access token is needed to wait for events.
    fix:
      description: What to do about it.
      returned: always
      type: str
      sample: Set access_token to the token of an account without traffic, and long_poll_seconds to 35 or more.
requests:
  description: How many requests were sent.
  returned: success
  type: int
  sample: 41
"""

import contextlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import (
    checked_access_token,
    checked_timeout,
    checked_unix_socket,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, read_access_token, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.report import report
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import LogWatch, log_files_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Declared, prepare
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import ServiceRecords
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import (
    GATHER,
    LONG_POLL,
    Wanted,
    survey,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender

# In seconds. A task that waits longer looks as if it hangs.
_LONGEST_POLL = 120
# Nobody waits longer for a proxy that answers nothing, and there are many requests.
_LONGEST_TIMEOUT = 10


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the proxy and the delegation break."""
    seconds = parameters["long_poll_seconds"]
    if not 1 <= seconds <= _LONGEST_POLL:
        raise InvalidInput(f"long_poll_seconds is {seconds}. Set it to a number from 1 to {_LONGEST_POLL}.")
    given_size = _size(parameters["max_upload_size"])
    gather = frozenset(parameters["gather"])
    declared = Declared(
        base_url=parameters["base_url"],
        unix_socket=checked_unix_socket(parameters["unix_socket"], parameters["base_url"]),
        public_url=parameters["public_url"],
        server_name=parameters["server_name"],
        config_path=parameters["config_path"],
        synapse_python=parameters["synapse_python"],
        # What else is asked is public: a token that cannot be read must not matter there.
        token=checked_access_token(read_access_token(parameters)) or "" if LONG_POLL in gather else "",
    )
    with contextlib.ExitStack() as stack:
        unknown: tuple[t.Any, ...] = ()
        paths = parameters["log_path"]
        if declared.config_path and not paths:
            paths, unknown = log_files_of(declared.config_path)
        # Before the first request, so that all of them are in what is appended.
        watch = stack.enter_context(LogWatch(paths)) if paths else None
        sender = stack.enter_context(
            Sender(
                verify=(parameters["ca_path"] or True) if parameters["validate_certs"] else False,
                timeout=min(checked_timeout(parameters["timeout"]), _LONGEST_TIMEOUT),
                connect_to=parameters["connect_to"],
            )
        )
        prepared = prepare(declared, sender, ServiceRecords(parameters["nameservers"]))
        prepared = prepared._replace(unknown=(*prepared.unknown, *unknown))
        wanted = Wanted(
            gather=gather,
            long_poll_seconds=seconds,
            max_upload_size=given_size or prepared.subject.settings.max_upload_size,
        )
        surveyed = survey(prepared, wanted, sender, watch)
        return report(prepared, surveyed, parameters["signature_failures"], sender.sent)


def _size(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        size = parse_size(given)
    except ValueError:
        size = 0
    if size <= 0:
        raise InvalidInput(f"max_upload_size is {given!r}. Set it to a size as in homeserver.yaml, such as 50M.")
    return size


def main() -> None:
    """Run the module."""
    default = [part for part in GATHER if part != LONG_POLL]
    own = ArgumentSpec(
        {
            "public_url": {"type": "str"},
            "server_name": {"type": "str"},
            "config_path": {"type": "list", "elements": "path", "default": []},
            "log_path": {"type": "list", "elements": "path", "default": []},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "connect_to": {"type": "dict", "default": {}},
            "nameservers": {"type": "list", "elements": "str", "default": []},
            "gather": {"type": "list", "elements": "str", "choices": list(GATHER), "default": default},
            "long_poll_seconds": {"type": "int", "default": 35},
            "max_upload_size": {"type": "str"},
            "signature_failures": {"type": "list", "elements": "dict", "default": []},
        }
    )
    run_info(connection_argument_spec().merge(own), read)


if __name__ == "__main__":
    main()
