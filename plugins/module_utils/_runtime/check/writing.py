# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the main process can write to its directories, tried in its mount namespace and as its user.

No program in that namespace is run: a script of the Python of this module enters it, and becomes the user at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import (
    UsedPath,
    find_used_paths,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.identity import identity_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host

# Takes the identity that is the first argument. Makes a file in each directory that is another argument, reads it and
# removes it. Prints what failed as JSON. Between setns and setuid it must import nothing: that would be a file of the
# other namespace, and would run as root.
SCRIPT = r"""
import ctypes, json, os, secrets, sys

identity = json.loads(sys.argv[1])
if identity and identity["user"]:
    os.setgroups(identity["groups"])
    os.setgid(identity["group"])
if identity and identity["namespace"] is not None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(identity["namespace"], 0x00020000):
        sys.exit(f"its mount namespace cannot be entered: {os.strerror(ctypes.get_errno())}")
if identity and identity["user"]:
    try:
        os.setuid(identity["user"])
    except OSError as error:
        os.write(2, f"the user of Synapse cannot be taken: {error.strerror}".encode())
        os._exit(1)
if identity and identity["namespace"] is not None:
    os.close(identity["namespace"])

failures = {}
for directory in sys.argv[2:]:
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
"""


class RunScript(t.Protocol):
    """Runs a command with a text as its standard input, and a timeout in seconds: run_command."""

    def __call__(
        self, arguments: t.Sequence[str], timeout: float, given: str | None = None, **options: t.Any
    ) -> Completed:
        """Return its result. Raises SynapseError if it cannot be run."""


def judge_writing(
    declared: Declared,
    processes: t.Sequence[Mapping],
    run: RunScript,
    timeout: float,
    verdict: Verdict,
    host: Host,
) -> None:
    """Try to write to `writable_paths`, and with `configured_paths` to the directories of the configuration.

    Raises ConfigurationError if the configuration is needed and cannot be read.
    """
    if not declared.writable_paths and not declared.configured_paths:
        return
    option = "writable_paths" if declared.writable_paths else "configured_paths"
    used = _configured(declared, verdict)
    paths = list(dict.fromkeys([*declared.writable_paths, *(each.path for each in used)]))
    main = next((process for process in processes if process["app"] == MAIN_APP), None)
    if main is None:
        verdict.fail(option, f"No main process runs, so whether it can write to {', '.join(paths)} is unknown.")
        return
    try:
        with identity_of(main["pid"], declared, host) as identity:
            # Neither variables nor packages change what root runs.
            command = [sys.executable, "-I", "-S", "-", json.dumps(identity and identity._asdict()), *paths]
            inherited = () if identity is None or identity.namespace is None else (identity.namespace,)
            unwritable = _tried(run(command, timeout, SCRIPT, pass_fds=inherited))
    except (FileNotFoundError, ProcessLookupError):
        verdict.fail(option, _ended(main), main)
        return
    except SynapseError as error:
        if not os.path.exists(os.path.join(host.proc, str(main["pid"]))):
            verdict.fail(option, _ended(main), main)
            return
        reason = f"Whether {identified(main)} can write to {', '.join(paths)} is unknown. {error.message}"
        verdict.fail(option, reason, main)
        return
    if unwritable:
        given = [path for path in unwritable if path in declared.writable_paths]
        verdict.fail("writable_paths" if given else "configured_paths", _refused(main, unwritable, used), main)


def _ended(main: Mapping) -> str:
    return f"{identified(main)} ended while it was checked. Run this again."


def _configured(declared: Declared, verdict: Verdict) -> list[UsedPath]:
    if not declared.configured_paths:
        return []
    used = find_used_paths(read_configuration(declared.config_path), declared.working_directory)
    written = [each for each in used if each.written]
    for each in written:
        if not os.path.isabs(each.path):
            verdict.fail(
                "configured_paths",
                f"The path {each.path} ({each.setting}) is relative to the working directory of Synapse, so whether it"
                " can write there is unknown. Set working_directory to the directory that Synapse runs in.",
            )
    return [each for each in written if os.path.isabs(each.path)]


def _tried(done: Completed) -> dict[str, str]:
    """Return the directories that cannot be written to, and why. Raises SynapseError if the script did not run."""
    with contextlib.suppress(ValueError):
        found = json.loads(done.output) if done.status == 0 else None
        if isinstance(found, dict):
            return {str(path): str(reason) for path, reason in found.items()}
    last = (done.errors.strip().splitlines() or [f"it ended with status {done.status}"])[-1]
    raise SynapseError(f"{sys.executable} could not try it as the user of Synapse: {last.rstrip('.')}.")


def _refused(main: Mapping, unwritable: Mapping, used: t.Sequence[UsedPath]) -> str:
    where = f" in the unit {main['unit']}" if main.get("unit") else ""
    paths = ", ".join(f"{path} ({reason})" for path, reason in unwritable.items())
    settings = ", ".join(dict.fromkeys(each.setting for each in used if each.path in unwritable))
    source = f", which its configuration sets ({settings})" if settings else ""
    is_own = not main.get("unit") and main["user"] == pwd.getpwuid(os.geteuid()).pw_name
    user = "this user" if is_own else main["user"]
    return f"Synapse cannot write{where} to {paths}{source}. Create the directory for {user}, and run this again."
