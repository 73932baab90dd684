# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the words of the collection: words.py COLLECTION

- No file postpones work or silences a checker, and each name says what is in the file.
- What users read is plain English: documentation, task names, comments of roles and playbooks, messages.
"""

from __future__ import annotations

import ast
import re
import sys
import typing as t
from pathlib import Path

# In two parts each, so that this file does not find itself.
_FORBIDDEN = {
    "TO" + "DO": "do it, or open an issue",
    "FIX" + "ME": "fix it, or open an issue",
    "XX" + "X": "write what it is",
    "no" + "qa": "fix what the checker found",
    "pylint" + ":": "fix what the checker found",
    "skip" + "_ansible_lint": "fix what the checker found",
    "skip" + "_list": "fix what the checker found",
    "warn" + "_list": "fix what the checker found",
    "type: " + "ignore": "fix what the checker found",
    "x" + "fail": "fix what the test found",
}
_EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc)(_|$)")
_SUFFIXES = {".py", ".yml", ".yaml", ".md", ".rst", ".sh", ".j2", ".toml", ".txt", ".cfg", ".ini", ""}

# Of Python files what users read is the text in quotation marks, without docstrings; of all others everything.
_READ_BY_USERS = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "changelogs/changelog.yaml",
    "docs",
    "galaxy.yml",
    "playbooks",
    "plugins",
    "roles",
)


class Wording(t.NamedTuple):
    """A wording that is not plain English: how to find it, what to write, and an example in which it is found."""

    pattern: str
    better: str
    example: str


# A pattern matches whole words in any case; a space in it also matches the end of a line.
_WORDINGS = (
    Wording(r"mend(s|ed|ing)?", "fix", "the message says what mends it"),
    Wording(r"shall", "must, should", "the account that shall be admin"),
    Wording(r"(is|are|was|were) said (by|in)", "is set by", "the path is said by\n# a variable"),
    Wording(r"under way", "in progress", "updates under way"),
    Wording(r"await(s|ed|ing)?(?! \w+\()", "wait for", "a deletion is awaited"),
    Wording(r"(take|takes|taken|taking|took) (\w+ ){0,3}away", "remove", "takes such a file away"),
    Wording(r"without a word", "silently", "gives less without a word"),
    Wording(r"in silence", "silently", "ignores it in silence"),
    Wording(r"anew|afresh", "again", "makes it anew"),
    Wording(r"nevertheless|nonetheless", "still, although", "the file counts nevertheless"),
    Wording(r"(?<!are )(?<!is )all the same(?! \w)", "still, although", "is applied all the same."),
    Wording(r"besides?", "next to, in addition to", "files that it reads beside its configuration"),
    Wording(r"(some|no|every|any)body", "user, account, another program", "somebody else wrote the file"),
    Wording(r"people", "users", "their own data that people read"),
    Wording(r"whom", "which user", "as whom to connect"),
    Wording(r"(who|what|which|which one) is meant", "which user, which room", "refuse to guess who is meant"),
    Wording(
        r"(?<!there )(is|are|was|were|be) no(?! (longer|more|less|later))(?= \w)", "is not a", "a user who is no admin"
    ),
    Wording(r"(that|which|it) (is|was) none", "is not a", "an account that was none"),
    Wording(r"(?<=, )for (it|they|there|nothing|only)", "because", "ask it, for it alone knows"),
    Wording(r"says", "reports, returns, sets", "what the configuration says"),
    Wording(r"say so", "report it", "if the variables say so"),
    Wording(r"holds? (no|none)", "contains no", "the answer holds no list"),
    Wording(r"speaks? (with|to|as)", "connect to", "needed to speak with Synapse"),
    Wording(r"not Synapse's", "does not come from Synapse", "an answer that is not Synapse's"),
    Wording(r"tells(?! (\w+ ){1,3}to\b)", "reports, shows", "the result tells how"),
    Wording(r"lets? in", "allows to connect", "where PostgreSQL lets in the user"),
    Wording(
        r"(takes?|it took) (a|an|the|that of a) (restart|reload|token|access token|password|server admin)",
        "needs",
        "a new file takes a restart",
    ),
    Wording(
        r"(it|that|which|what|one|file|account|user|room) (is|are|was|were) (already )?there",
        "exists",
        "a directory that was there before",
    ),
    Wording(r"there already", "already exists", "a server that is there already"),
    Wording(r"(is|are|was|were|be) had|(get|gets|got) rid of", "is deleted, is moved", "how it is got rid of"),
    Wording(r"(leave|leaves|left|leaving) (\w+ )?alone", "does not change", "everything else is left alone"),
    Wording(r"(became|comes?|came) of (it|them|that|which)|what (became|came) of", "the result", "what became of it"),
    Wording(r"brought about", "made", "cannot be brought about"),
    Wording(r"made good|made up for", "repaired", "a run that was killed is made good by the next"),
    Wording(r"broken off", "interrupted", "a run that was broken off"),
    Wording(r"in vain", "without success", "tried in vain"),
    Wording(r"goes on", "continues", "it goes on standing in the list"),
    Wording(r"as (it|they) stands?", "unchanged", "finds text as it stands"),
    Wording(r"ends? (well|badly)", "succeeds, fails", "the command ends well"),
    Wording(r"(?<=[.;] )else", "otherwise", "is the name; else it is"),
    Wording(r"leads? (a|the|one|that) room|leads? (it|one)(?= *[.,;])", "room admin", "a user who leads the room"),
    Wording(r'(?<=name: )"?refuse', "Check that", "- name: Refuse a server without a name"),
    Wording(r'(?<=name: )"?\w+ (it|its|them|their)', "a task name with a noun", "- name: Verify its caches"),
)
# Plain English that looks like it. A check of the patterns themselves: none of them may match.
_PLAIN = (
    "There is no configuration file. The key is no longer used, and there\nare no others.",
    "It takes precedence over the option; it takes a few seconds. I recommend an amendment.",
    "Set the room admin, all the same values, or a path as shown; all values are all the same.",
    "It tells systemd to reload its units, for a restart.\n\nElse is a keyword of Jinja.",
    "- name: Restart Synapse\n- name: Check that it runs",
    "Whether there is a user; files there; the host is next to it. Wait for 5 seconds, for each room.",
)


def patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return what finds each wording, with the better one."""
    return [(re.compile(rf"(?<![\w-])(?:{wording.pattern})(?![\w-])", re.I), wording.better) for wording in _WORDINGS]


def problems_of_patterns() -> t.Iterator[str]:
    """Yield which patterns do not find their own example, or find plain English."""
    for wording, (pattern, _better) in zip(_WORDINGS, patterns(), strict=True):
        if not pattern.search(flowing(wording.example)[0]):
            yield f"words.py: {wording.pattern} does not match its example"
    for text in _PLAIN:
        for _line, found, _better in wordings_in(text):
            yield f"words.py: {found!r} was found in plain English: {text}"


def flowing(text: str) -> tuple[str, list[int]]:
    """Return the text with each paragraph in one line, and the line of each character: phrases go over line ends."""
    characters: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n")):
        stripped = re.sub(r"^\s*(#+ ?|#$)?", "", line)
        # An empty line ends a paragraph.
        piece = f"{' '.join(stripped.split())} " if stripped.strip() else "\n"
        characters.append(piece)
        lines += [number] * len(piece)
    return "".join(characters), lines


def wordings_in(text: str) -> t.Iterator[tuple[int, str, str]]:
    """Yield the line, counted from 0, the words and the better ones for each wording in a text."""
    flow, lines = flowing(text)
    for pattern, better in patterns():
        for match in pattern.finditer(flow):
            yield lines[match.start()], match.group().strip(), better


class Texts(ast.NodeVisitor):
    """Collects the texts in quotation marks of a Python file, each with its first and its last line."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int, str]] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave out docstrings."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Collect a text."""
        if isinstance(node.value, str):
            self.found.append((node.lineno, node.end_lineno or node.lineno, node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Collect an f-string as one text, and the texts in its expressions."""
        parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
        self.found.append((node.lineno, node.end_lineno or node.lineno, "".join(parts)))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)


def wordings_of(path: Path) -> t.Iterator[tuple[int, str, str]]:
    """Yield the line, the words and the better ones for each wording in what users read of a file."""
    text = path.read_text(errors="replace")
    if path.suffix != ".py":
        yield from ((line + 1, found, better) for line, found, better in wordings_in(text))
        return
    texts = Texts()
    texts.visit(ast.parse(text))
    source = text.splitlines()
    for first, last, quoted in texts.found:
        for line, found, better in wordings_in(quoted):
            # Where a text is put together from pieces, its lines are not those of the file.
            exact = first + line
            if exact > last or found.split()[0] not in source[exact - 1]:
                holding = (number for number in range(first, last + 1) if found.split()[0] in source[number - 1])
                exact = next(holding, first)
            yield exact, found, better


def problems_of_words(path: Path) -> t.Iterator[str]:
    """Yield each wording of a file that is not plain English, in the order of its lines."""
    for line, found, better in sorted(set(wordings_of(path))):
        yield f"line {line} has {found!r}: write {better}"


def problems_of(path: Path) -> t.Iterator[str]:
    """Yield what else is wrong with a file, in words."""
    if _EMPTY_NAMES.search(path.stem) and path.parent.name != "plugins":
        yield "its name does not say what is in it"
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        for word, better in _FORBIDDEN.items():
            if re.search(rf"(?<!\w){re.escape(word)}", line):
                yield f"line {number} has {word}: {better}"


def is_read_by_users(path: Path, collection: Path) -> bool:
    """Return whether a file is one whose text users read."""
    place = path.relative_to(collection)
    return any(place.is_relative_to(name) for name in _READ_BY_USERS)


def main() -> int:
    """Check every text file of the collection and return the exit status."""
    collection = Path(sys.argv[1])
    files = [
        path
        for path in sorted(collection.rglob("*"))
        if path.is_file()
        and path.suffix in _SUFFIXES
        and not {"output", "LICENSES", ".ansible", ".git", "__pycache__"} & set(path.relative_to(collection).parts)
        and path.name != "COPYING"
    ]
    found = list(problems_of_patterns())
    found += [f"{path.relative_to(collection)}: {problem}" for path in files for problem in problems_of(path)]
    read = [path for path in files if is_read_by_users(path, collection)]
    found += [f"{path.relative_to(collection)}: {problem}" for path in read for problem in problems_of_words(path)]
    found += [
        f"{name}: is missing, but words.py names it" for name in _READ_BY_USERS if not (collection / name).exists()
    ]
    # An ignore file of ansible-test or a skip list would hide what the checkers find.
    found += [f"{path}: do not silence a checker" for path in (collection / "tests" / "sanity").glob("ignore*")]
    print("\n".join(found) or f"{len(files)} files are in order, {len(read)} of them for users.")
    return 1 if found or not files or not read else 0


if __name__ == "__main__":
    sys.exit(main())
