# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the proxy waits as long as clients do, and passes on the answer at once."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import is_loopback
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import split_address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender

_READ_TIMEOUT, _DELAYED = "read_timeout", "answer_delayed"
# Synapse changes the time at random by up to a tenth, and waits at least half a second (handlers/events.py).
_SHORTEST, _LONGEST, _LEAST_SECONDS = 0.9, 1.1, 0.5
# In seconds. How much later than Synapse's the answer of the proxy may be, and how long it is waited for.
_DELAY, _PATIENCE = 1.5, 10.0
# In seconds: a proxy that fails earlier does not wait for Synapse at all. Another finding tells of that.
_AT_ONCE = 1.0
_GAVE_UP = (408, 499, 500, 502, 503, 504, 520, 522, 524)
_FIX_TOKEN = "Set access_token to the token of an account without traffic, and long_poll_seconds to 35 or more."
_FIX_QUIET = "Use the token of an account without traffic, such as a new one that is in no room."
_FIX_HTTPS = "Use https for the public URL, or run this on the host of the proxy with http on loopback."


class _Polled(t.NamedTuple):
    """A long poll. `seconds`: until its end."""

    got: Answer | NoAnswer
    seconds: float

    @property
    def is_answered(self) -> bool:
        """Whether Synapse answered as it does at the end of the time, or because of an event."""
        return isinstance(self.got, Answer) and self.got.status == 200 and isinstance(self.got.json.get("chunk"), list)


def check_long_poll(subject: Subject, seconds: float) -> Found:
    """Wait for events for `seconds` through the proxy and, if possible, of Synapse itself, at the same time.

    The request is `GET /_matrix/client/v3/events` (rest/client/events.py), because `/sync` would delete messages to the
    device of the token. Its one effect: the account is shown as online for a while. It needs `subject.token`, which is
    only sent over https or to loopback. What is found is only true up to `seconds`.
    """
    site = subject.site_of("client")
    if site is None:
        return Found()
    if not subject.token:
        return _unknown(_READ_TIMEOUT, "Without an access token, nothing can wait for events.", _FIX_TOKEN)
    if not _is_confidential(subject, site.place):
        return _unknown(_READ_TIMEOUT, f"The access token is not sent to {site.place.url} in clear text.", _FIX_HTTPS)
    direct_place = subject.direct if subject.direct and _is_confidential(subject, subject.direct) else None
    public, direct = _poll_both(subject, site.place, direct_place, seconds)
    if _is_early(public, seconds) or (direct and _is_early(direct, seconds)):
        # That the account is online from now on is an event too, which ends the other request.
        public, direct = _poll_both(subject, site.place, direct_place, seconds)
    return _judge(site, public, direct, seconds)


def _poll_both(subject: Subject, public: Place, direct: Place | None, seconds: float) -> tuple[_Polled, _Polled | None]:
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(_poll, subject, public, seconds)
        waiting_direct = threads.submit(_poll, subject, direct, seconds) if direct else None
        return waiting.result(), waiting_direct.result() if waiting_direct else None


def _poll(subject: Subject, place: Place, seconds: float) -> _Polled:
    request = Request(
        f"/_matrix/client/v3/events?timeout={round(seconds * 1000)}",
        headers=(("Authorization", f"Bearer {subject.token}"),),
        is_sent_once=True,
    )
    begin = time.monotonic()
    got = subject.sender.send(place, request, max(seconds * _LONGEST, _LEAST_SECONDS) + _PATIENCE)
    return _Polled(got, time.monotonic() - begin)


def _judge(site: Site, public: _Polled, direct: _Polled | None, seconds: float) -> Found:
    """Compare what came through the proxy with what Synapse itself answered, None if it was not asked."""
    if direct and not direct.is_answered:
        reason = f"Synapse itself did not answer a long poll: {evidence(direct.got)['answer']}."
        return _unknown(_READ_TIMEOUT, reason, "Check that the access token is valid.")
    longest = max(seconds * _LONGEST, _LEAST_SECONDS * _LONGEST)
    if public.is_answered:
        if _is_early(public, seconds) or (direct and _is_early(direct, seconds)):
            return _unknown(_READ_TIMEOUT, "The account got events, so the answer came before the time.", _FIX_QUIET)
        return _judge_delay(site, public, direct, longest)
    if isinstance(public.got, NoAnswer) and public.got.kind == "silent" and public.seconds >= longest:
        return _judge_delay(site, public, direct, longest)
    if _has_given_up(public.got) and _AT_ONCE <= public.seconds < longest + _DELAY:
        return Found((_timeout(site, public, direct, seconds),))
    reason = f"The long poll was not answered as Synapse does: {evidence(public.got)['answer']}."
    return _unknown(_READ_TIMEOUT, reason, "Check that the access token is valid, and that the proxy reaches Synapse.")


def _is_early(polled: _Polled, seconds: float) -> bool:
    """Whether Synapse answered before the time, which it does if there is an event."""
    # Rounding, and the time that the network needs, are no difference.
    return polled.is_answered and polled.seconds < max(seconds, _LEAST_SECONDS) * _SHORTEST - 0.1


def _judge_delay(site: Site, public: _Polled, direct: _Polled | None, longest: float) -> Found:
    # Each of the two requests ended at a different time, at random.
    late = public.seconds - longest
    if late <= _DELAY:
        return Found()
    if direct is None:
        reason = f"The answer came {late:.1f} seconds too late. It is not known whether Synapse was late itself."
        return _unknown(_DELAYED, reason, "Set base_url to the URL of Synapse itself.")
    if direct.seconds - longest > _DELAY / 3:
        reason = "Synapse itself answered too late, so the proxy cannot be judged."
        return _unknown(_DELAYED, reason, "Try again when Synapse has less load.")
    passes = "passed on the answer" if public.is_answered else "had not passed on the answer"
    what = (
        f"The proxy {passes} to a long poll {late:.1f} seconds after Synapse must have sent it, so messages are late."
    )
    shown = evidence(public.got, expected=f"an answer within {longest + _DELAY:.1f} seconds")
    return Found((Finding(_DELAYED, what, WARNING, site.name, shown, ("client",), {"seconds": round(late, 1)}),))


def _timeout(site: Site, public: _Polled, direct: _Polled | None, seconds: float) -> Finding:
    after = round(public.seconds, 1)
    how = f"answered {public.got.status}" if isinstance(public.got, Answer) else "closed the connection"
    what = f"The proxy {how} after {after:g} seconds, before Synapse answered a long poll of {seconds:g} seconds."
    more = {"expected": f"200 after about {seconds:g} seconds"}
    if direct:
        more["direct"] = f"200 after {direct.seconds:.1f} seconds"
    return Finding(_READ_TIMEOUT, what, ERROR, site.name, evidence(public.got, **more), ("client",), {"seconds": after})


def _has_given_up(got: Answer | NoAnswer) -> bool:
    if isinstance(got, NoAnswer):
        # A timeout before the end of our patience is one of the connection.
        return got.kind == "closed"
    return got.status in _GAVE_UP and not got.errcode.startswith("M_")


def _is_confidential(subject: Subject, place: Place) -> bool:
    """Whether nobody else can read what is sent to a place."""
    if place.scheme == "https" or place.unix_socket:
        return True
    host = place.host
    if isinstance(subject.sender, Sender):
        # With connect_to, the connection can leave this host.
        host = split_address(subject.sender.target_of(place))[0]
    return is_loopback(place.host) and is_loopback(host)


def _unknown(name: str, reason: str, fix: str) -> Found:
    return Found(unknown=(Unknown(name, reason, fix),))
