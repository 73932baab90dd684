# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What program has sent an answer: which reverse proxy, and what page it is if it does not come from Synapse."""

from __future__ import annotations

import html
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer

NGINX, APACHE, CADDY, HAPROXY, TRAEFIK, CLOUDFLARE = "nginx", "apache", "caddy", "haproxy", "traefik", "cloudflare"
# With these, a proxy says that it does not reach what is behind it. 52x and 530 are those of Cloudflare.
BACKEND_FAILED = {502, 503, 504, *range(520, 528), 530}

_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.I)
_TAG = re.compile(r"<[^<>]{0,500}>")
_PASSWORD = re.compile(r"<input\b[^<>]{0,500}\btype\s*=\s*[\"']?password", re.I)
# The pages that HAProxy has built in, and the pages of errors of Apache.
_HAPROXY_PAGE = re.compile(rb"<html><body><h1>[1-5][0-9]{2} [A-Za-z ]+</h1>\n")
_APACHE_PAGE = re.compile(rb"<address>Apache(?:/[^<]*)? Server at ", re.I)
# In lower case, from the title or the text of a page. The first one that is found counts.
_PAGES = (
    ("welcome to nginx", "the default page of nginx"),
    ("test page for the nginx", "the default page of nginx"),
    ("apache2 default page", "the default page of Apache"),
    ("apache2 debian default page", "the default page of Apache"),
    ("apache2 ubuntu default page", "the default page of Apache"),
    ("apache http server test page", "the default page of Apache"),
    ("http server test page", "the default page of Apache"),
    ("caddy works", "the default page of Caddy"),
    ("your web server is working", "the default page of Caddy"),
    ("iis windows server", "the default page of IIS"),
    ("domain is for sale", "the page of a parked domain"),
    ("domain may be for sale", "the page of a parked domain"),
    ("buy this domain", "the page of a parked domain"),
    ("domain is parked", "the page of a parked domain"),
    ("parked domain", "the page of a parked domain"),
    ("domain parking", "the page of a parked domain"),
    ("sedoparking", "the page of a parked domain"),
    ("just a moment...", "a page of Cloudflare that demands a browser"),
)


def proxy_name(answers: t.Iterable[Answer]) -> str:
    """Return the reverse proxy that has sent these answers, "" if it cannot be told.

    nginx replaces the header Server of Synapse, Caddy adds its own, and Cloudflare adds others. Apache, HAProxy and
    Traefik keep that of Synapse, so they are only recognised by their own pages.
    """
    found = {_proxy_of(answer) for answer in answers}
    return next((name for name in (CLOUDFLARE, CADDY, NGINX, APACHE, HAPROXY, TRAEFIK) if name in found), "")


def is_html(answer: Answer) -> bool:
    """Whether an answer is a page for a browser."""
    start = answer.body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "html" in answer.header("Content-Type").lower() or start.startswith((b"<!doctype html", b"<html"))


def is_login_page(answer: Answer) -> bool:
    """Whether an answer is a page that asks for a password."""
    text = _text(answer)
    return is_html(answer) and "<form" in text.lower() and bool(_PASSWORD.search(text))


def is_synapse_page(answer: Answer) -> bool:
    """Whether an answer is the page that Synapse sends for a path outside of its resources."""
    return answer.status == 404 and b"No Such Resource" in answer.body and is_html(answer)


def page(answer: Answer) -> str:
    """Return what an answer is that does not come from Synapse, such as "the default page of nginx"."""
    text = _text(answer)
    if not answer.body.strip():
        return "an empty answer"
    if is_login_page(answer):
        return f"a login page{_titled(text)}"
    if is_html(answer):
        words = " ".join(_TAG.sub(" ", text).split()).lower()
        known = next((name for part, name in _PAGES if part in words or part in text.lower()), "")
        return known or f"an HTML page{_titled(text)}"
    if answer.is_matrix:
        return "JSON of another program"
    return "a text that is not JSON"


def _titled(text: str) -> str:
    match = _TITLE.search(text)
    title = shown(html.unescape(match[1]), 60) if match else ""
    return f' with the title "{title}"' if title else ""


def _text(answer: Answer) -> str:
    return answer.body[: 64 * 1024].decode("utf-8", "replace")


def _proxy_of(answer: Answer) -> str:
    servers = [value.lower() for value in answer.all("Server")]
    via = ",".join(answer.all("Via")).lower()
    if answer.header("CF-RAY") or "cloudflare" in servers:
        return CLOUDFLARE
    if "caddy" in servers or "caddy" in via:
        return CADDY
    if any(value.startswith(("nginx", "openresty")) for value in servers) or "nginx" in via:
        return NGINX
    if any(value.startswith("apache") for value in servers) or "(apache" in via or _APACHE_PAGE.search(answer.body):
        return APACHE
    if servers:
        return ""
    if _HAPROXY_PAGE.match(answer.body):
        return HAPROXY
    # It is the page of the library in Go that Traefik uses.
    return TRAEFIK if answer.status == 404 and answer.body == b"404 page not found\n" else ""
