# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration of a reverse proxy with one mistake."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import Wiring, replaced, right

Pair = tuple[str, str]

# Where a line can be added: where the server is described, and where requests are forwarded.
ONE, TWO = "# place 1", "# place 2"
ORIGIN = "Access-Control-Allow-Origin"


@dataclasses.dataclass(frozen=True)
class Wrong:
    """A mistake in the configuration of `kind`, and the name of the `finding` that it causes.

    `right` is replaced by `wrong`; in them {backend} is the address of Synapse, and {name} its server name. To correct
    it, the lines that the module suggests are put in place of `wrong`.
    `seen`: what arrived at Synapse, or what the proxy answered, in a real run.
    `base`: replacements before, which change nothing that is wrong.
    `also`: further findings that the same mistake causes.
    """

    kind: str
    finding: str
    right: str
    wrong: str
    seen: str
    base: tuple[Pair, ...] = ()
    also: tuple[str, ...] = ()

    def text(self, wiring: Wiring, lines: str | None = None) -> str:
        """Return the wrong configuration, or with these lines in place of what is wrong."""
        text = right(self.kind, wiring)
        for old, new in self.base:
            text = replaced(text, _filled(old, wiring), _filled(new, wiring))
        return replaced(text, _filled(self.right, wiring), _filled(self.wrong, wiring) if lines is None else lines)

    def __str__(self) -> str:
        shown = " ".join(self.wrong.split())
        return f"{self.kind} {self.finding}: {shown[:60]}"


def _filled(text: str, wiring: Wiring) -> str:
    return text.replace("{backend}", wiring.backend).replace("{name}", wiring.server_name)


def rows(kind: str, *given: tuple[t.Any, ...]) -> list[Wrong]:
    """Return the mistakes of a proxy. In each, what is given are the fields after `kind`."""
    return [Wrong(kind, *row) for row in given]
