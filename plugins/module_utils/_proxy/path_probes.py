# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The requests that show which path reached Synapse.

No request needs a token, has an effect, or makes Synapse ask another server. What they rely on is in path_answers.
"""

from __future__ import annotations

from urllib.parse import quote

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    BASELINE,
    CHARACTERS,
    ERRORS,
    QUERY,
    SLASHES,
    STATUS,
    Probe,
    read_alias,
    read_baseline,
    read_event,
    read_keys,
    read_media,
    read_merged,
    read_removed,
    read_send_join,
    read_static,
    read_status,
    read_token,
)

LONG_QUERY = 4000
_ALIAS = "/_matrix/client/v3/directory/room/"
_MEDIA = "/_matrix/media/v3/download/other.invalid"
_LOCAL_ONLY = "?allow_remote=false"
# Without characters that a proxy may refuse.
_PAD = "a" * LONG_QUERY
# Without a space: Twisted refuses it if a proxy decodes it.
_QUERY, _IN_QUERY = "a=%3A%2F%21%7E%25+;b==", ("%3A", "%2F", "%21", "%25")
_UNRECOGNIZED = "404 M_UNRECOGNIZED"
_MISSING = "401 M_UNAUTHORIZED"


def probes_of(group: str, server_name: str) -> list[Probe]:
    """Return the first requests for a group of paths."""
    name = quote(server_name, safe="")
    if group == "client":
        # Short, because the answer repeats it in a header: nginx takes headers of 4 KiB from Synapse.
        static = f"/_matrix/static?{_QUERY}"
        return [
            _alias_probe(
                f"%23n%2F%253A%21%40%24%3A{name}", f"#n/%3A!@$:{server_name}", "%23", "%2F", "%25", "%21", "%40", "%24"
            ),
            Probe(group, QUERY, static, "302 to the same path and query", read_static, _IN_QUERY),
            Probe(group, SLASHES, "/_matrix/client//versions", _UNRECOGNIZED, read_merged),
            Probe(group, SLASHES, f"/_matrix/client/versions/?pad={_PAD}", _UNRECOGNIZED, read_removed),
        ]
    if group == "media":
        characters = ("%2f", "%3A", "%21", "%40", "%24", "%23", "%25", "%20", "%C3%A9")
        return [_media_probe(CHARACTERS, _media_path("%20%C3%A9"), characters), _media_probe(SLASHES, f"{_MEDIA}//a")]
    if group == "federation":
        v1, room = "/_matrix/federation/v1", f"%21a%2Fb%3A{name}"
        token = f"{v1}/openid/userinfo?access_token=x&{_QUERY}"
        return [
            Probe(group, CHARACTERS, f"{v1}/event/%24a%2Fb%3Ac", _MISSING, read_event, ("%24", "%2F", "%3A")),
            Probe(
                group,
                CHARACTERS,
                f"{v1}/make_join/{room}/%40x%3A{name}",
                _MISSING,
                read_event,
                ("%21", "%2F", "%3A", "%40"),
            ),
            Probe(
                group,
                CHARACTERS,
                f"/_matrix/federation/v2/send_join/{room}/%24c%2Fd",
                "405 M_UNRECOGNIZED",
                read_send_join,
                ("%21", "%2F", "%3A", "%24"),
            ),
            Probe(group, QUERY, token, "401 M_UNKNOWN_TOKEN", read_token, _IN_QUERY),
            Probe(group, SLASHES, "/_matrix/federation//v1/version", _UNRECOGNIZED, read_merged),
            Probe(group, SLASHES, f"{v1}/version/?pad={_PAD}", _UNRECOGNIZED, read_removed),
        ]
    if group == "key":
        target = "/_matrix/key/v2/server/ed25519%3Aa%2Fb"
        return [Probe(group, CHARACTERS, target, "200 with the keys", read_keys, ("%3A", "%2F"))]
    return []


def baseline_of(group: str) -> Probe:
    """Return a request of the group without anything that a proxy could change."""
    if group == "media":
        return _media_probe(BASELINE, f"{_MEDIA}/a")
    target = {
        "client": "/_matrix/client/versions",
        "federation": "/_matrix/federation/v1/version",
        "key": "/_matrix/key/v2/server/a",
    }[group]
    return Probe(group, BASELINE, target, "200", read_baseline)


def long_probe(group: str) -> Probe:
    """Return a request with nothing unusual but a long query, for proxies that refuse the one with a slash too."""
    return _with_query(group, f"pad={_PAD}")


def query_probes(group: str) -> list[Probe]:
    """Return requests with nothing unusual but their queries: the usual one, without %2F, and without %25 too."""
    slash, percent = _QUERY.replace("%2F", ""), _QUERY.replace("%2F", "").replace("%25", "")
    return [
        _with_query(group, query, tuple(code for code in _IN_QUERY if code in query))
        for query in (_QUERY, slash, percent)
    ]


def _with_query(group: str, query: str, characters: tuple[str, ...] = ()) -> Probe:
    plain = baseline_of(group)
    return plain._replace(purpose=QUERY, target=f"{plain.target}?{query}", characters=characters)


def status_probe(group: str) -> Probe | None:
    """Return a request with nothing unusual that Synapse answers with another status than the others of the group.

    It is None if these already have several: a proxy that does not forward answers all with the same one.
    """
    target = {"client": f"{_ALIAS}x", "media": f"{_MEDIA}/a?allow_remote=x"}.get(group)
    return Probe(group, STATUS, target, "400 M_INVALID_PARAM", read_status) if target else None


def error_probe(group: str) -> Probe | None:
    """Return a request that Synapse answers with an error on the path of a request that it answers otherwise.

    The other one is that of `baseline_of`. It is None for a group without such a path.
    """
    if group == "client":
        target = "/_matrix/client/versions?access_token=x"
        return Probe(group, ERRORS, target, "401 M_UNKNOWN_TOKEN", read_token)
    return status_probe(group) if group == "media" else None


def character_probe(group: str, characters: tuple[str, ...]) -> Probe | None:
    """Return a request with only these encoded characters, None for a group in which not all of them can be sent."""
    inner = "".join(f"{code}3Ax" if code == "%25" else f"{code}x" for code in characters)
    if group == "media":
        return _media_probe(CHARACTERS, f"{_MEDIA}/x{inner}", characters)
    if group == "federation":
        target = f"/_matrix/federation/v1/event/x{inner}"
        return Probe(group, CHARACTERS, target, _MISSING, read_event, characters)
    return None


def safe_media_probe() -> Probe:
    """Return the request with all characters but those that Twisted refuses if a proxy decodes them."""
    return _media_probe(CHARACTERS, _media_path(""), ("%2f", "%3A", "%21", "%40", "%24", "%23", "%25"))


def narrower(group: str, server_name: str) -> list[Probe]:
    """Return requests without %2F, then without %25 and %23 too, for proxies that refuse some characters."""
    name = quote(server_name, safe="")
    if group == "client":
        return [
            _alias_probe(f"%23n%253A%21%40%24%3A{name}", f"#n%3A!@$:{server_name}", "%23", "%25", "%21", "%40", "%24"),
        ]
    if group == "media":
        rest = ("%3A", "%21", "%40", "%24", "%20", "%C3%A9")
        path = f"{_MEDIA}/ab%3Ac%21d%40e%24%20j%C3%A9k"
        return [
            _media_probe(CHARACTERS, f"{path}f%23g%253Ah", ("%23", "%25", *rest)),
            _media_probe(CHARACTERS, path, rest),
        ]
    if group == "federation":
        target = f"/_matrix/federation/v1/make_join/%21a%24%3A{name}/%40x%3A{name}"
        return [Probe(group, CHARACTERS, target, _MISSING, read_event, ("%21", "%24", "%3A", "%40"))]
    if group == "key":
        target = "/_matrix/key/v2/server/ed25519%3Aa"
        return [Probe(group, CHARACTERS, target, "200 with the keys", read_keys, ("%3A",))]
    return []


def _alias_probe(encoded: str, alias: str, *characters: str) -> Probe:
    expected = f"404 M_NOT_FOUND Room alias {alias} not found"
    return Probe("client", CHARACTERS, f"{_ALIAS}{encoded}", expected, read_alias, characters)


def _media_path(unsafe: str) -> str:
    return f"{_MEDIA}/a%2fb%3Ac%21d%40e%24f%23g%253Ah%7Ei{unsafe}jk;l+m==n:o@p!q$r"


def _media_probe(purpose: str, path: str, characters: tuple[str, ...] = ()) -> Probe:
    return Probe(
        "media", purpose, f"{path}{_LOCAL_ONLY}", f"404 M_NOT_FOUND Not found '{path}'", read_media, characters
    )
