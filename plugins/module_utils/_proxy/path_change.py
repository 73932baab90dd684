# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How a path or a query differs from what was sent: decoded, encoded twice, merged, cut, and so on.

A signature of a server covers the path and the query byte for byte
(synapse/federation/transport/server/_base.py, 1.163), so every difference counts, also of %2f and %2F.
"""

from __future__ import annotations

import heapq
import re
import typing as t

SAME = "same"
DECODED, ENCODED_TWICE, REWRITTEN = "decoded", "encoded_twice", "rewritten"
MERGED, SLASH_REMOVED, SLASH_ADDED = "merged", "slash_removed", "slash_added"
QUERY_CHANGED, QUERY_CUT = "query_changed", "query_cut"
# The first of them is the kind of a change that has several.
_ORDER = (DECODED, ENCODED_TWICE, REWRITTEN, MERGED, SLASH_REMOVED, SLASH_ADDED)
_TOKEN = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)
_HEX = "0123456789abcdefABCDEF"
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_MOST_STATES = 20000
_MOST_PREFIXES = 12
_MOST_SHOWN = 6
_LONGEST_SHOWN = 60


class Step(t.NamedTuple):
    """One difference: its kind, what was sent there, and what arrived."""

    kind: str
    before: str
    after: str

    @property
    def is_harmless(self) -> bool:
        """Whether a character was decoded that no server encodes, such as %7E."""
        return self.kind == DECODED and self.after in _UNRESERVED and len(self.before) == 3

    @property
    def text(self) -> str:
        """The difference in words."""
        if self.kind == SLASH_REMOVED:
            return "the slash at the end was removed"
        if self.kind == SLASH_ADDED:
            return "a slash was added at the end"
        if not self.after:
            return f"{_shortened(self.before)} was cut"
        if not self.before:
            return f"{_shortened(self.after)} was added"
        after = "a space" if self.after == " " else _shortened(self.after)
        return f"{_shortened(self.before)} became {after}"


class Change(t.NamedTuple):
    """A difference between what was sent and what arrived. `text`: in words, such as "%3A became :"."""

    kind: str
    text: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def is_harmless(self) -> bool:
        """Whether it affects only characters that no server encodes."""
        return bool(self.steps) and all(step.is_harmless for step in self.steps)

    @property
    def touched(self) -> tuple[str, ...]:
        """What was sent and did not arrive like that, such as %3A: that of the kind of the change, each once."""
        steps = [step for step in self.steps if step.kind == self.kind]
        significant = [step for step in steps if not step.is_harmless] or steps
        return tuple(dict.fromkeys(step.before for step in significant))


def describe_change(sent: str, arrived: str) -> Change:
    """Compare a target (path and query) as it was sent with what arrived.

    The kind is one of the constants above. A change of the path takes precedence over one of the query, and the text
    has both.
    """
    if sent == arrived:
        return Change(SAME)
    path, mark, query = sent.partition("?")
    arrived_path, arrived_mark, arrived_query = arrived.partition("?")
    of_path = _compare_paths(path, arrived_path)
    of_query = _compare_queries(mark + query, arrived_mark + arrived_query)
    if of_path.kind == SAME:
        return of_query
    if of_query.kind == SAME:
        return of_path
    return of_path._replace(text=f"{of_path.text}; {of_query.text}")


def change_of(steps: t.Iterable[Step]) -> Change:
    """Put differences together: the kind is the worst one."""
    found = tuple(dict.fromkeys(steps))
    if not found:
        return Change(SAME)
    main = min(found, key=lambda step: (step.is_harmless, _ORDER.index(step.kind)))
    ordered = sorted(found, key=lambda step: step.kind != main.kind)
    more = len(ordered) - _MOST_SHOWN
    text = ", ".join(step.text for step in ordered[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return Change(main.kind, text, found)


def _compare_paths(sent: str, arrived: str) -> Change:
    if sent == arrived:
        return Change(SAME)
    steps = _align(sent, arrived)
    if steps is not None:
        return change_of(steps)
    plain = _without_dots(sent)
    if plain != sent:
        steps = [] if plain == arrived else _align(plain, arrived)
        if steps is not None:
            text = "the segments . and .. were removed"
            more = change_of(steps)
            return Change(
                REWRITTEN, f"{text}, {more.text}" if steps else text, (Step(REWRITTEN, "..", ""), *more.steps)
            )
    return _compare_beginnings(sent, arrived) or Change(
        REWRITTEN, f"the path became {_shortened(arrived)}", (Step(REWRITTEN, sent, arrived),)
    )


def _compare_beginnings(sent: str, arrived: str) -> Change | None:
    """Find a beginning that was cut, added or replaced, the shortest possible."""
    cuts, additions = _slashes(sent), _slashes(arrived)
    for cut, added in sorted(((cut, added) for cut in cuts for added in additions), key=lambda pair: (sum(pair), pair)):
        # The last slash alone proves nothing.
        if cut + added == 0 or len(sent) - cut < 2:
            continue
        steps = _align(sent[cut:], arrived[added:])
        if steps is None:
            continue
        first = Step(REWRITTEN, sent[:cut], arrived[:added])
        more = change_of(steps)
        text = f"{first.text} at the beginning" + (f", {more.text}" if steps else "")
        return Change(REWRITTEN, text, (first, *more.steps))
    return None


def _slashes(path: str) -> list[int]:
    return [at for at, character in enumerate(path) if character == "/"][:_MOST_PREFIXES]


def _compare_queries(sent: str, arrived: str) -> Change:
    """Compare queries, with their question marks."""
    if sent == arrived or {sent, arrived} == {"", "?"}:
        # A question mark without a query is still part of what is signed.
        return Change(SAME) if sent == arrived else Change(QUERY_CHANGED, "the question mark at the end changed")
    if arrived in ("", "?"):
        return Change(QUERY_CUT, "the query was removed")
    if sent.startswith(arrived):
        return Change(
            QUERY_CUT, f"only the first {len(arrived) - 1} of {len(sent) - 1} characters of the query arrived"
        )
    if arrived.startswith(sent):
        return Change(QUERY_CHANGED, f"{_shortened(arrived[len(sent) :])} was added to the query")
    steps = _align(sent, arrived, is_path=False)
    text = f"in the query {change_of(steps).text}" if steps else "the query became another one"
    return Change(QUERY_CHANGED, text, tuple(dict.fromkeys(steps or ())))


def _align(sent: str, arrived: str, is_path: bool = True) -> list[Step] | None:
    """Return the fewest differences that make one of the other, None if they are not of the known kinds."""
    tokens = _TOKEN.findall(sent)
    ways: list[tuple[Step, int] | None] = [None]
    # The number of differences, then the farthest state first: its index and place, and the way to it.
    waiting: list[tuple[int, int, int, int, int]] = [(0, 0, 0, 0, 0)]
    done: set[tuple[int, int]] = set()
    while waiting and len(done) < _MOST_STATES:
        count, _distance, index, place, way = heapq.heappop(waiting)
        if (index, place) in done:
            continue
        done.add((index, place))
        if index == len(tokens) and place == len(arrived):
            return _steps_to(way, ways)
        for used, taken, step in _moves(tokens, index, arrived, place, is_path):
            following = way
            if step is not None:
                ways.append((step, way))
                following = len(ways) - 1
            state = (index + used, place + taken)
            heapq.heappush(waiting, (count + (step is not None), -sum(state), *state, following))
    return None


def _steps_to(way: int, ways: list[tuple[Step, int] | None]) -> list[Step]:
    steps: list[Step] = []
    while True:
        found = ways[way]
        if found is None:
            return steps[::-1]
        step, way = found
        steps.append(step)


_Move = tuple[int, int, t.Optional[Step]]


def _moves(tokens: list[str], index: int, arrived: str, place: int, is_path: bool) -> t.Iterator[_Move]:
    """Yield what can come next: how many tokens of what was sent, how many characters of what arrived, the step."""
    rest = arrived[place : place + 12]
    if index == len(tokens):
        if is_path and rest == "/" and place and arrived[place - 1] != "/":
            yield 0, 1, Step(SLASH_ADDED, "", "/")
        return
    token = tokens[index]
    if rest.startswith(token):
        yield 1, len(token), None
    if is_path:
        yield from _slash_moves(token, set(tokens[index:]) == {"/"}, arrived, place)
    if len(token) == 3:
        yield from _encoded_moves(tokens, index, rest)
        return
    if token == "+" and rest[:1] == " ":
        yield 1, 1, Step(REWRITTEN, "+", " ")
    if token == "+" and rest.startswith("%20"):
        yield 1, 3, Step(REWRITTEN, "+", "%20")
    code = "".join(f"%{byte:02X}" for byte in token.encode("utf-8", "surrogatepass"))
    if rest[: len(code)].upper() == code:
        # A percent sign that is not part of a code, such as in %zz, is encoded only once.
        yield 1, len(code), Step(REWRITTEN, token, rest[: len(code)])


def _slash_moves(token: str, is_last: bool, arrived: str, place: int) -> t.Iterator[_Move]:
    before = arrived[place - 1 : place] if place else ""
    if token == "/" and before == "/":
        yield 1, 0, Step(MERGED, "//", "/")
    elif token.upper() == "%2F" and before == "/":
        yield 1, 0, Step(DECODED, token, "/")
    elif token == "/" and is_last and place == len(arrived) and place:
        yield 1, 0, Step(SLASH_REMOVED, "/", "")


def _encoded_moves(tokens: list[str], index: int, rest: str) -> t.Iterator[_Move]:
    """Yield what can become of an encoded character."""
    token = tokens[index]
    code = token[1:]
    following = tokens[index + 1 : index + 3]
    if code == "25" and len(following) == 2 and all(digit in _HEX for digit in following):
        inner = "".join(following)
        if rest.startswith(f"%{inner}"):
            yield 3, 3, Step(DECODED, token + inner, f"%{inner}")
        if rest.startswith(chr(int(inner, 16))) and int(inner, 16) < 0x80:
            yield 3, 1, Step(DECODED, token + inner, rest[0])
    character = chr(int(code, 16))
    if rest.startswith(character):
        yield 1, 1, Step(DECODED, token, character)
    if int(code, 16) >= 0xC0:
        yield from _unicode_moves(tokens, index, rest)
    if rest.upper().startswith(f"%25{code.upper()}"):
        yield 1, 5, Step(ENCODED_TWICE, token, rest[:5])
    if rest[:3] != token and rest[:3].upper() == token.upper():
        yield 1, 3, Step(REWRITTEN, token, rest[:3])
    if token == "%20" and rest[:1] == "+":
        yield 1, 1, Step(REWRITTEN, token, "+")


def _unicode_moves(tokens: list[str], index: int, rest: str) -> t.Iterator[_Move]:
    for length in (2, 3, 4):
        group = tokens[index : index + length]
        if len(group) < length or any(len(token) != 3 for token in group):
            return
        try:
            character = bytes(int(token[1:], 16) for token in group).decode()
        except UnicodeDecodeError:
            continue
        if len(character) == 1 and rest.startswith(character):
            yield length, 1, Step(DECODED, "".join(group), character)


def _without_dots(path: str) -> str:
    """Return a path without segments that are . or .., as RFC 3986 (5.2.4) removes them."""
    kept: list[str] = []
    segments = path.split("/")
    for at, segment in enumerate(segments):
        is_last = at == len(segments) - 1
        if segment not in (".", ".."):
            kept.append(segment)
            continue
        if segment == ".." and len(kept) > 1:
            kept.pop()
        if is_last:
            kept.append("")
    return "/".join(kept)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
