# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""HTML of untrusted text: escaped, without control characters, and without effect on the direction of other text."""

from __future__ import annotations

import datetime
import html
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import timestamp

# Only text that this module has escaped, or that consists of such parts.
Html = t.NewType("Html", str)

NOTHING = Html("")

# All of Cc except tab and line feed, and single surrogates, which JSON can contain and UTF-8 cannot.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Those that embed or override end with PDF, those that isolate with PDI (Unicode Standard Annex 9).
_PDF, _PDI = "\u202c", "\u2069"
_ENDS = {**dict.fromkeys("\u202a\u202b\u202d\u202e", _PDF), **dict.fromkeys("\u2066\u2067\u2068", _PDI)}
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def clean(value: object) -> str:
    """Return the text of `value` with control characters replaced, and with every text direction ended in its line."""
    text = str(value)
    # Most texts are printable, and the rest of this function is slow.
    if text.isprintable():
        return text
    text = _CONTROL.sub(_REPLACEMENT, _LINE_BREAKS.sub("\n", text))
    return "\n".join(map(_balanced, text.split("\n"))) if _DIRECTION.search(text) else text


def _balanced(line: str) -> str:
    """Remove unmatched end characters, which would end the isolation of this line, and add the missing ones."""
    result, open_ends = [], []
    for character in line:
        if character in _ENDS:
            open_ends.append(_ENDS[character])
        elif character == _PDF:
            if open_ends[-1:] != [_PDF]:
                continue
            open_ends.pop()
        elif character == _PDI:
            if _PDI not in open_ends:
                continue
            # It also ends the embeddings inside it.
            while open_ends.pop() != _PDI:
                pass
        result.append(character)
    return "".join(result + open_ends[::-1])


def escaped(value: object, most: int | None = None) -> Html:
    """Return the text of `value` as HTML, with its lines. A text of more than `most` characters is truncated."""
    text = str(value)
    return Html(html.escape(clean(text if most is None or len(text) <= most else text[:most] + "…")))


def isolated(value: object, most: int = 250) -> Html:
    """Return a name in one line of at most `most` characters, whose direction does not affect the text around it."""
    return element("bdi", escaped(" ".join(str(value).split()), most))


def joined(parts: t.Iterable[Html], between: str = "") -> Html:
    """Return the parts in order, with the plain text `between` them."""
    return Html(escaped(between).join(parts))


def element(tag: str, /, *content: Html, **attributes: object) -> Html:
    """Return an element. An attribute with None or False is left out; `class_` is class, and data_x is data-x."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped("" if value is True else value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    closing = "" if tag in ("img", "meta") else f"</{tag}>"
    return Html(f"<{tag}{written}>{''.join(content)}{closing}")


def day(milliseconds: int | None) -> str:
    """Return the date in UTC, such as 3 May 2026, or "Time unknown" for None."""
    if milliseconds is None:
        return "Time unknown"
    found = _utc(milliseconds)
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def moment(value: object, only_time: bool = False) -> Html:
    """Return a time in UTC. `value` is in milliseconds since 1970; anything else gives "unknown"."""
    milliseconds = timestamp(value)
    if milliseconds is None:
        return escaped("unknown")
    date, time = _utc(milliseconds).isoformat(" ", "seconds").split(" ")
    return Html(f'<time datetime="{date}T{time}Z">{time if only_time else f"{date} {time}"} UTC</time>')


def _utc(milliseconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=milliseconds)


def size(value: object) -> str:
    """Return a number of bytes in readable form, such as 8.1 kB, or "" for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return ""
    number, units = float(value), ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return the number with its word, such as 1,200 messages."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(caption: str, headings: t.Sequence[str], rows: t.Iterable[t.Sequence[Html]]) -> t.Iterator[Html]:
    """Yield a table in pieces. The roles keep it a table for screen readers if its rows are shown as blocks."""
    yield Html('<table role="table">')
    yield element("caption", escaped(caption))
    cells = joined(element("th", escaped(heading), scope="col", role="columnheader") for heading in headings)
    yield element("thead", element("tr", cells, role="row"), role="rowgroup")
    yield Html('<tbody role="rowgroup">')
    for row in rows:
        shown = (
            element("td", element("div", cell), role="cell", data_label=heading) for heading, cell in zip(headings, row)
        )
        yield element("tr", *shown, role="row")
    yield Html("</tbody></table>\n")


def definitions(pairs: t.Iterable[tuple[str, Html]]) -> Html:
    """Return a list of terms with their descriptions."""
    return element("dl", *(element("div", element("dt", escaped(term)), element("dd", shown)) for term, shown in pairs))
