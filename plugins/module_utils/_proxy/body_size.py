# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the proxy lets through an upload that Synapse accepts."""

from __future__ import annotations

import contextlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    Finding,
    Found,
    Unknown,
    evidence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import DEFAULT_MAX_UPLOAD_SIZE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.upload import TARGET, Opens, Uploaded, upload

_NAME = "body_limit"
_MEBIBYTE = 1024 * 1024
_FIX_SPEED = "Run this on the host of the proxy, where the whole upload can be sent within a second."
_FIX_RESTART = "Restart Synapse if max_upload_size was changed after its start."
_FIX_SETTING = "Set max_upload_size to that of homeserver.yaml, or set config_path."
_FIX_UPLOADS = "Send a small upload to the public URL, and look into the log of the proxy."


def check_body_size(subject: Subject, opens: Opens, max_upload_size: int | None) -> Found:
    """Begin an upload of `max_upload_size` bytes to the site for media. None: the default of Synapse.

    Nothing is stored, because the upload has no access token: Synapse (rest/media/upload_resource.py) then answers
    401 M_MISSING_TOKEN, after it has received everything. Never an exception because of the network.
    """
    site = subject.site_of("media")
    size = DEFAULT_MAX_UPLOAD_SIZE if max_upload_size is None else max_upload_size
    if site is None or size <= 0:
        return Found()
    name = f"{_shown(size)} ({'the default of ' if max_upload_size is None else ''}max_upload_size)"
    try:
        done = upload(opens, site.place, size)
    except OSError as error:
        return _unknown(f"The upload could not begin: {error}.", "Correct the connection to the public URL first.")
    answer = done.answer
    if answer and answer.errcode.startswith("M_"):
        return _answered_by_synapse(answer, done.sent, size, name, _FIX_RESTART if max_upload_size else _FIX_SETTING)
    if answer is None and not done.is_closed:
        if done.sent < size:
            tried = f"Within a second, {done.sent} bytes of an upload of {name} could be sent, and they were accepted."
            return _unknown(tried, _FIX_SPEED)
        return _unknown(f"An upload of {name} was sent, but not answered in time.", _FIX_UPLOADS)
    other = _other_reason(subject, opens, site.place, done, size)
    if other:
        reason, fix = other
        return _unknown(f"{reason} So it is not known whether the proxy lets {name} through.", fix)
    return Found((_finding(site, done, size, name),))


def _answered_by_synapse(answer: Answer, sent: int, size: int, name: str, fix: str) -> Found:
    if answer.status == 413 or answer.errcode == "M_TOO_LARGE":
        return _unknown(
            f"Synapse itself refused an upload of {name} as too large, so the proxy is not the limit.",
            fix,
        )
    if sent < size:
        return _unknown(
            f"An upload of {name} was answered with {answer.status} {answer.errcode} before all of it was sent.",
            "Upload a large file with a client.",
        )
    return Found()


def _other_reason(subject: Subject, opens: Opens, place: Place, done: Uploaded, size: int) -> tuple[str, str] | None:
    """Return why an upload was refused and what to do if its size may not be the reason, None if it is.

    Other limits have other answers than 413, and that of another site has the same one. So the size is the reason if
    one byte gets through to Synapse.
    """
    how = _how(done)
    try:
        small = upload(opens, place, 1).answer
    except OSError as error:
        return f"The proxy {how}, and an upload of one byte failed: {error}.", _FIX_UPLOADS
    if small is None or not small.errcode.startswith("M_"):
        status = f"answered with {small.status}, and not by Synapse" if small else "not answered"
        return f"The proxy {how}, and an upload of one byte was {status}, too.", _FIX_UPLOADS
    if subject.direct and (done.answer is None or done.answer.status >= 500):
        # Synapse closes the connection if a body is larger than its own limit.
        with contextlib.suppress(OSError):
            direct = upload(opens, subject.direct, size)
            if direct.is_closed or (direct.answer and direct.answer.status == 413):
                return f"The proxy {how}, but Synapse itself refused an upload of this size, too.", _FIX_RESTART
    return None


def _finding(site: Site, done: Uploaded, size: int, name: str) -> Finding:
    place = site.place
    shown = {
        "request": f"POST {place.url}{TARGET} with Content-Length: {size}",
        "answer": evidence(done.answer)["answer"] if done.answer else f"{place.address} closed the connection",
        "expected": "401 M_MISSING_TOKEN of Synapse, after all of it was received",
    }
    what = f"The limit of the proxy for uploads is below {name}: it {_how(done)}."
    return Finding(_NAME, what, ERROR, site.name, shown, ("media",), {"max_upload_size": size})


def _how(done: Uploaded) -> str:
    """How an upload was refused: a piece of a sentence."""
    what = f"answered {done.answer.status}" if done.answer else "closed the connection"
    # How many of these it has received is not known.
    return f"{what} after at most {done.sent} bytes" if done.sent else f"{what} before the first byte was sent"


def _shown(size: int) -> str:
    return f"{size} bytes" if size % _MEBIBYTE else f"{size // _MEBIBYTE} MiB"


def _unknown(reason: str, fix: str) -> Found:
    return Found(unknown=(Unknown(_NAME, reason, fix),))
