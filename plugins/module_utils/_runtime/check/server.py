# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the server that answers is the declared one."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import MissingLibrary, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict

# As the declared version: any version of Synapse.
ANY = "*"
_HEALTH = "/health"
# Far more than OK.
_MOST_BYTES = 64
# What the libraries write around a reason.
_OF_A_LIBRARY = re.compile(r"Pool\(|Caused by|object at 0x|\w+(?:Error|Exception)\(")
# As a library writes an error of the system.
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_RELEASE = re.compile(r"v?([0-9]+(?:[.][0-9]+)*)(?:[-_.]?(?:rc|c|pre|preview)[-_.]?([0-9]*))?")


def health_problem(client: Client) -> str | None:
    """Return why the server is not healthy, without a period, or None if it is. Raises MissingLibrary."""
    try:
        with client.streamed(_HEALTH, params=None, headers={}) as response:
            content = b""
            for part in response.iter_content(_MOST_BYTES):
                content += part
                if len(content) >= _MOST_BYTES:
                    break
            text = content.decode("ascii", errors="replace").strip()
            status = response.status_code
    except MissingLibrary:
        raise
    except SynapseError as error:
        return _reason(error.message)
    if status == 200 and text == "OK":
        return None
    return f"status {status}" if status != 200 else "the answer is not OK"


def judge_server(declared: Declared, found: Mapping, health: str | None, verdict: Verdict, waited: float = 0) -> None:
    """Compare the server with `answers`, `version` and `server_name`.

    `found`: what RuntimeReader returns. `health`: why the server is not healthy, after `waited` seconds.
    """
    server = found.get("server", {})
    if declared.answers and health is not None:
        after = f" after {int(waited)} seconds" if declared.wait_timeout else ""
        option = declared.address.option
        place = "path" if declared.unix_socket else "URL"
        no_answer = (
            f"Synapse does not answer at {declared.address.at(_HEALTH)}{after} ({health}). {declared.log_hint} for the"
            f" reason. If Synapse listens at another {place}, set {declared.called(option)}."
        )
        # A status comes from a server that was reached.
        need = Need.ANSWER if health.startswith("status ") else Need.CONNECTION
        verdict.fail("answers", no_answer, need=need)
        if not server:
            for option in _declared_of_server(declared):
                verdict.fail(option, no_answer, need=need)
            return
    wrong = [option for option in _declared_of_server(declared) if not _is_as_declared(option, declared, server)]
    for option in wrong:
        # Another server can have the port.
        need_of_option = None if server else Need.CONNECTION
        verdict.fail(option, _difference(option, declared, server, found["unknown"]), need=need_of_option)
    if declared.reads_server and not verdict.failed("answers", "version", "server_name"):
        version, name = server.get("version"), server.get("name")
        running = _running(version) if version else "of an unknown version"
        verdict.proofs["server"] = (
            f"Server: Synapse {running} answers{f' as {name}' if name else ''} at {declared.address}."
        )


def _reason(message: str) -> str:
    # The sentence around it names the request and the fix.
    found = _SYSTEM_ERROR.search(message)
    if found:
        return found[1]
    if _OF_A_LIBRARY.search(message):
        return "no answer in time" if "timed out" in message else "the connection failed"
    return re.sub(r"^GET \S+ (failed: )?", "", message).partition(". ")[0].rstrip(".")


def same_version(one: str, other: str) -> bool:
    """Return whether two versions of Synapse are the same one (PEP 440): 1.163 is 1.163.0. Unknown forms never are."""
    first, second = _parsed(one), _parsed(other)
    return first is not None and first == second


def _parsed(version: str) -> tuple[tuple[int, ...], int | None] | None:
    match = _RELEASE.fullmatch(version.strip().lower())
    with contextlib.suppress(ValueError):
        if match:
            numbers = [int(number) for number in match[1].split(".")]
            while numbers and numbers[-1] == 0:
                numbers.pop()
            return tuple(numbers), None if match[2] is None else int(match[2] or 0)
    return None


def _running(version: str) -> str:
    # Servers that run from a checkout add the branch and the commit.
    return (version.split() or [""])[0]


def _declared_of_server(declared: Declared) -> list[str]:
    options = {"server_name": declared.server_name, "version": declared.version}
    return [option for option, value in options.items() if value]


def _is_as_declared(option: str, declared: Declared, server: Mapping) -> bool:
    if option == "server_name":
        return bool(server.get("name") == declared.server_name)
    version = _running(server.get("version", ""))
    return _parsed(version) is not None if declared.version == ANY else same_version(version, declared.version or "")


def _difference(option: str, declared: Declared, server: Mapping, unknown: t.Sequence[Mapping]) -> str:
    doubt = unknown_of(unknown, ("server", "server.name" if option == "server_name" else "server.version"))
    if doubt:
        return f"Whether the server has {declared.called(option)} is unknown. {doubt}"
    running = _running(server.get("version", "")) or "(unknown version)"
    version = "any version" if declared.version in (None, "", ANY) else declared.version
    fix = f"set {declared.designation('this server')}"
    if "port" in declared.option_names:
        fix = f"set {declared.called('port')} to a free one"
    used = "path" if declared.unix_socket else "port"
    return (
        f"The server at {declared.address} is {server.get('name') or 'not Synapse'} with Synapse {running}, but"
        f" declared are {declared.server_name or 'any name'} and {version}. Either another"
        f" server uses this {used} ({fix}), or the restart failed ({declared.log_hint})."
    )
