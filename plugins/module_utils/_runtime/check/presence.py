# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether each process has the declared mode of presence: in its configuration, since its start, and over the API.

Relies on the configuration, on the counter of presence updates, and on the servlets of presence
(synapse/rest/client/presence.py, 1.163): they read the mode that the process was started with.
"""

from __future__ import annotations

import os
import secrets
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    ConnectionFailed,
    MissingLibrary,
    PermissionDenied,
    RateLimited,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    names_of,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import CONFIGURATION
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.presence_mode import (
    DEFAULT,
    DISABLED,
    ENABLED,
    KEY,
    OLD_KEY,
    UNTRACKED,
    VALUES,
)

_STATUS = "/_matrix/client/v3/presence/{user_id}/status"
# Synapse refuses it if it tracks presence, and otherwise does not look at it. It changes nothing in either case.
_NO_STATE = "matrix_ops.synapse check"
_REFUSAL = "Invalid presence state"
_MOST_IGNORED = 5
# In the names of the files that this collection writes.
_OWN = "matrix_ops"


def asked_mode(client: Client) -> str:
    """Return the mode of presence of the process that answers the client, which needs an access token.

    It changes nothing. Raises SynapseError if the answers do not show the mode.
    """
    try:
        client.put(_STATUS, {"presence": _NO_STATE}, user_id=client.caller)
    except ApiError as error:
        if error.status == 400 and error.error == _REFUSAL:
            return ENABLED
        raise
    # No user can see the presence of an account that does not exist, but disabled presence is not looked up at all.
    stranger = f"@{secrets.token_hex(16)}:{client.server_name}"
    try:
        answer = client.get(_STATUS, user_id=stranger)
    except PermissionDenied as error:
        if error.errcode == "M_FORBIDDEN":
            return UNTRACKED
        raise
    except ApiError as error:
        if error.status == 500:
            error.explain(
                "If stream_writers sets a worker for presence, only that worker can answer this request: set"
                f" {client.address.leading_to('that worker')}."
            )
        raise
    if answer.get("presence") != "offline":
        raise UnexpectedAnswer(
            f"The answer of {client.address} about the presence of an account that does not exist does not come from"
            f" Synapse. Check that {client.address.option} leads to Synapse, and that no proxy answers requests for"
            " presence."
        )
    return DISABLED


def judge_presence(
    declared: Declared, found: Mapping, connect: t.Callable[[], Client] | None, verdict: Verdict
) -> bool:
    """Compare the mode of presence with `presence`. Return whether the API has proven it.

    `found`: what RuntimeReader returns. `connect`: returns a client with the access token, if there is one.
    Raises MissingLibrary if the API must be asked without the library for it.
    """
    if declared.presence is None:
        if declared.report_presence:
            verdict.proofs["presence"] = _report(declared, found["processes"], verdict)
        return False
    for process in found["processes"]:
        _judge_configuration(declared, process, verdict)
        _judge_start(declared, process, verdict)
        _judge_updates(declared, process, verdict)
    doubt = _asked(declared, connect, verdict)
    if verdict.failed("presence"):
        return False
    names, mode = names_of(found["processes"]), declared.presence
    proof = f"Presence: {mode} in the configuration that {names} started with"
    if doubt:
        proof = f"{proof}, but NOT proven over the API. {doubt}"
        if declared.require_presence_proof:
            option = declared.called("require_presence_proof")
            verdict.fail("require_presence_proof", f"{proof} ({option} is true)")
    else:
        proof = f"{proof}, and the server at {declared.address} answers accordingly."
    verdict.proofs["presence"] = proof
    return not doubt


def _judge_configuration(declared: Declared, process: Mapping, verdict: Verdict) -> None:
    option, wanted = declared.called("presence"), str(declared.presence)
    settings = process.get("presence_settings")
    who, restart = identified(process), declared.restart(process)
    if settings is None:
        doubt = unknown_of(process["unknown"], ("presence_settings",))
        doubt = doubt or "Its configuration cannot be read. Run the task with become, as root."
        verdict.fail("presence", f"Whether {who} has the declared {option} is unknown. {doubt}", process)
        return
    problem = settings.get("problem", "")
    if settings["mode"] != wanted:
        reason = (
            f"The configuration of {who} sets presence to {settings['mode']}, but {option} is {wanted}."
            f" {problem or _culprit(settings, wanted, option)} {_ignored(settings)}Restart {restart} after the change."
        )
        verdict.fail("presence", reason, process, f"presence {settings.get('path', '')}")
        return
    _warn(settings, verdict)
    without = unknown_of(process["unknown"], ("config_path",))
    if without:
        verdict.fail("presence", f"{who} may not have the declared {option}. {without}", process)


def _warn(settings: Mapping, verdict: Verdict) -> None:
    """Warn of a value that Synapse takes for another one, and of the old setting if it has no effect."""
    if "problem" in settings:
        verdict.warn(f"presence {settings.get('path', '')}", settings["problem"])
    for one in settings.get("ignored", ()):
        if one["key"] == OLD_KEY:
            reason = f"{one['path']} sets {OLD_KEY}, without effect: {one['reason']} Remove it there."
            verdict.warn(f"presence {OLD_KEY} {one['path']}", reason)


def _report(declared: Declared, processes: t.Sequence[Mapping], verdict: Verdict) -> str:
    """Return which mode each process has by its configuration, as sentences."""
    found: dict[str, list[Mapping]] = {}
    for process in processes:
        settings = process.get("presence_settings")
        if settings is None:
            how = "has an unknown mode, because its configuration cannot be read"
        elif settings["key"] == DEFAULT:
            how = f"has presence {settings['mode']}, which is the default of Synapse"
        else:
            how = f"has presence {settings['mode']}, because {settings['path']} sets {settings['key']}"
        found.setdefault(how, []).append(process)
        _warn(settings or {}, verdict)
    shown = "".join(f" By its configuration, {names_of(those)} {how}." for how, those in found.items())
    return f"Presence: not managed ({declared.called('presence')} is not set).{shown}"


def _culprit(settings: Mapping, wanted: str, option: str) -> str:
    value, path = VALUES[wanted], settings.get("path", "")
    if settings["key"] == DEFAULT:
        return f"No file sets {KEY}, so the default applies: set {KEY} to {value}."
    if settings["key"] == OLD_KEY:
        return f"{path} sets the old setting {OLD_KEY}: remove it there, and set {KEY} to {value}."
    if _OWN in os.path.basename(path):
        how = f"do not edit it, but set {option}, and run the playbook again"
        return f"{path} is the file whose {KEY} applies. The collection matrix_ops.synapse writes it: {how}."
    return f"{path} is the file whose {KEY} applies: set it to {value} there."


def _ignored(settings: Mapping) -> str:
    shown = settings.get("ignored", ())[:_MOST_IGNORED]
    return "".join(f"{one['path']} also sets {one['key']}, without effect: {one['reason']} " for one in shown)


def _judge_start(declared: Declared, process: Mapping, verdict: Verdict) -> None:
    option = declared.called("presence")
    changed = [one["reason"] for one in process.get("outdated_by", ()) if one["kind"] == CONFIGURATION]
    if changed:
        verdict.fail(
            "presence",
            f"{identified(process)} was started before its configuration was changed, so it may not have the declared"
            f" {option}. {' '.join(dict.fromkeys(changed))} Restart {declared.restart(process)}.",
            process,
            f"fresh {process['pid']}",
        )
        return
    doubt = unknown_of(process["unknown"], ("outdated_by",))
    if doubt:
        reason = f"Whether {identified(process)} was started with its present configuration is unknown. {doubt}"
        # A warning of `fresh` already contains it.
        verdict.warn(f"fresh {process['pid']}", reason)


def _judge_updates(declared: Declared, process: Mapping, verdict: Verdict) -> None:
    updates = process.get("presence", {}).get("updates", 0)
    if not updates or declared.presence == ENABLED:
        return
    option, who = declared.called("presence"), identified(process)
    what = f"{who} has made {updates} updates of presence since its start, but {option} is {declared.presence}."
    if declared.presence == UNTRACKED:
        # That is what the mode is for.
        reason = "Either a module of Synapse sets presence, or the process was started with presence enabled"
        verdict.warn(f"presence updates {process['pid']}", f"{what} {reason}.")
        return
    reason = f"So it was started with presence enabled: restart {declared.restart(process)}."
    verdict.fail("presence", f"{what} {reason}", process)


def _asked(declared: Declared, connect: t.Callable[[], Client] | None, verdict: Verdict) -> str:
    """Ask the API. Return why it does not prove the mode, as sentences, or "" if it does or if that is a failure."""
    option, token = declared.called("presence"), declared.called("access_token_path")
    client = connect() if connect else None
    if client is None or not client.has_token:
        path = declared.access_token_path
        missing = f" ({path} does not exist)" if path else ""
        return f"The API was not asked: set {token} to a file with the access token of any account{missing}."
    try:
        mode = asked_mode(client)
    except MissingLibrary:
        raise
    except RateLimited as error:
        return f"The API did not answer. {error.message}"
    except SynapseError as error:
        verdict.fail(
            "presence",
            f"Whether the server at {declared.address} has the declared {option} is unknown. {error.message}"
            f" Correct {declared.called(declared.address.option)} or {token}, or set neither {token} nor"
            f" {declared.called('access_token')} so that the API is not asked.",
            need=Need.CONNECTION if isinstance(error, ConnectionFailed) else Need.ANSWER,
        )
        return ""
    if mode != declared.presence:
        verdict.fail(
            "presence",
            f"Presence of the server at {declared.address} is {mode}, but {option} is {declared.presence}. That is its"
            f" answer to a request that sets an invalid state, and to one for the presence of an account that does not"
            f" exist. Restart {declared.unit or 'Synapse'} after {KEY} is set to {VALUES[declared.presence or mode]}.",
        )
    return ""
