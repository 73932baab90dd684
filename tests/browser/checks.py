# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a browser has to say of a page. Each check yields what is wrong, in words."""

from __future__ import annotations

import typing as t

import hostile
from browser import Browser, Gate

# Opens what is closed and waits until every picture is there, or is known not to be.
_OPEN = """
(async () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
})()
"""
_WIDE = """
(() => {
  const hidden = ".skip, thead, thead *";
  const wide = [...document.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width && !element.matches(hidden) && (box.right > innerWidth + 1 || box.left < -1);
  });
  const page = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
  return [...page, ...wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 120))];
})()
"""
# The contrast between text and what is behind it, as the Web Content Accessibility Guidelines 2 compute it.
_PALE = """
(() => {
  const rgb = (color) => color.match(/[0-9.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = rgb(color).map((part) => part / 255).map(
      (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let found = element; found; found = found.parentElement) {
      const color = getComputedStyle(found).backgroundColor;
      if ((rgb(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const pale = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    const [low, high] = [getComputedStyle(element).color, behind(element)].map(light).sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) pale.add(`${element.tagName} .${element.className}`);
  }
  return [...pale];
})()
"""
# In one line each, for in which line a word stands depends on the fonts of this machine.
_NAMES = """
[...document.querySelectorAll(".who")].filter((who) => {
  const before = who.style.whiteSpace;
  who.style.whiteSpace = "nowrap";
  const [name, time] = [".name", "time"].map((part) => who.querySelector(part).getBoundingClientRect());
  who.style.whiteSpace = before;
  return time.left < name.right;
}).map((who) => who.textContent)
"""


_ROLES = (
    *("main", "navigation", "contentinfo", "heading", "list", "listitem", "image"),
    *("table", "columnheader", "row", "cell"),
)


def harm(browser: Browser, gate: Gate, allowed: str) -> t.Iterator[str]:
    """Whether a script ran, or something was asked for that does not lie below the address `allowed`."""
    if browser.evaluate("document.documentElement.dataset.ran ?? ''"):
        yield "a script ran"
    for method, found in browser.events:
        if method in ("Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            yield f"a script ran: {method} {found}"
        elif method == "Log.entryAdded":
            yield f"the browser complains: {found['entry']['text']}"
    yield from (f"asked for {url}" for url in browser.requests() if not url.startswith(allowed))
    yield from (f"asked a server: {line}" for line in gate.asked if hostile.OUTSIDE in line)


def layout(browser: Browser) -> t.Iterator[str]:
    """Whether everything fits the width, can be read, and stands in its place."""
    yield from (f"wider than the window: {found}" for found in browser.evaluate(_WIDE))
    yield from (f"too little contrast: {found}" for found in browser.evaluate(_PALE))
    yield from (f"the direction of a name reaches the time: {found!r}" for found in browser.evaluate(_NAMES))


def content(browser: Browser, pictures: int, texts: t.Iterable[str]) -> t.Iterator[str]:
    """Whether that many pictures are shown, and all of the texts, after everything was opened."""
    browser.evaluate(_OPEN)
    sizes = browser.evaluate("[...document.images].map((image) => [image.naturalWidth, image.clientWidth])")
    if len(sizes) != pictures or not all(natural and shown for natural, shown in sizes):
        yield f"there should be {pictures} pictures, there are: {sizes}"
    shown = browser.evaluate("document.body.innerText")
    yield from (f"not shown: {text!r}" for text in texts if text not in shown)


def structure(browser: Browser) -> t.Iterator[str]:
    """Whether a screen reader finds the headings, the rooms and the tables, at whatever width."""
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes]
    for role in _ROLES:
        if role not in roles:
            yield f"nothing has the role {role}"
    nameless = [
        node["role"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in ("link", "image", "heading", "table")
        and not node.get("name", {}).get("value")
    ]
    if nameless:
        yield f"without a name: {nameless}"


def keyboard(browser: Browser) -> t.Iterator[str]:
    """Whether the page can be used without a mouse. It must just have been visited."""
    browser.press("Tab", 9)
    if browser.evaluate("document.activeElement.className") != "skip":
        yield "the first stop of the keyboard is not the way to the rooms"
    if browser.evaluate("document.activeElement.getBoundingClientRect().left") < 0:
        yield "the way to the rooms cannot be seen when it is reached"
    for _stop in range(100):
        browser.press("Tab", 9)
        if browser.evaluate("document.activeElement.matches('.room > summary')"):
            break
    browser.press("Enter", 13, "\r")
    if not browser.evaluate("document.activeElement.parentElement.open === true"):
        yield "a room cannot be opened with the keyboard"


def links(browser: Browser) -> t.Iterator[str]:
    """Whether a link to a place in a closed room opens it."""
    place = "document.querySelector('.inside')"
    opened = f"{place}.parentElement.addEventListener('toggle', () => done(true))"
    if not browser.evaluate(_within(f"{opened}; location.hash = {place}.id")):
        yield "a link into a room does not open it"


def policy(browser: Browser, gate: Gate) -> t.Iterator[str]:
    """Whether the browser would stop what the page did not escape: each attack is put into the page here."""
    for tag, attributes in hostile.ELEMENTS:
        stopped = "document.addEventListener('securitypolicyviolation', () => done(true), {once: true})"
        made = f"const made = Object.assign(document.createElement({tag!r}), {attributes})"
        if not browser.evaluate(_within(f"{stopped}; {made}; document.body.append(made)")):
            yield f"the policy does not stop {tag} {attributes}"
    if browser.evaluate("document.documentElement.dataset.ran ?? ''"):
        yield "the policy lets scripts run"
    yield from (f"the policy lets it ask for {line}" for line in gate.asked if hostile.OUTSIDE in line)


def paper(browser: Browser) -> t.Iterator[str]:
    """Whether closed rooms are printed too."""
    if not browser.evaluate("document.querySelector('.room:not([open]) ol.messages li')?.checkVisibility()"):
        yield "closed rooms are not printed"


def _within(script: str, milliseconds: int = 10_000) -> str:
    """A promise for what the script calls `done` with, or for false if it does not in time."""
    return f"new Promise((done) => {{ setTimeout(() => done(false), {milliseconds}); {script} }})"
