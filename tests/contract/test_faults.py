# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module, with every fault in every request: what it says has to be what the server shows afterwards."""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import account_cases, export_case, info_cases, room_cases
from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, named
from ansible_collections.matrix_ops.synapse.tests.contract.injections import Injector, Outcome, Reader
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.servers import ENGINES

CASES = (*account_cases.CASES, *room_cases.CASES, export_case.CASE)


@pytest.fixture
def report(
    request: pytest.FixtureRequest, record_property: t.Callable[[str, object], None]
) -> t.Callable[[Outcome], None]:
    """Return what counts an outcome, and fails if something did not hold."""

    def count(outcome: Outcome) -> None:
        record_property("injections", outcome.injections)
        record_property("held", outcome.held)
        record_property("unknown", len(outcome.unknown))
        for name in outcome.unknown:
            record_property("called unknown", f"{request.node.name}: {name}")
        if outcome.broken:
            told = f"{len(outcome.broken)} of {outcome.injections} did not hold:\n{outcome.describe()}"
            pytest.fail(told, pytrace=False)

    return count


# What a fault does to a request does not depend on the database, so each case is on one of the engines, in turn.
_ON_AN_ENGINE = [
    pytest.param(engine, *case.values, id=f"{engine}-{case.id}")
    for engine, case in zip(itertools.cycle(ENGINES), named(case for case in CASES if not case.alone))
]


@pytest.mark.parametrize(("server", "case"), _ON_AN_ENGINE, indirect=["server"])
def test_a_fault_is_told_as_it_is(
    server: Server, case: Case, tmp_path: Path, report: t.Callable[[Outcome], None]
) -> None:
    report(Injector(case, server, tmp_path).run())


@pytest.mark.parametrize("case", named(case for case in CASES if case.alone))
def test_a_fault_is_told_as_it_is_on_a_server_of_its_own(
    server_alone: Server, case: Case, tmp_path: Path, report: t.Callable[[Outcome], None]
) -> None:
    report(Injector(case, server_alone, tmp_path).run())


@pytest.mark.parametrize("case", [pytest.param(case, id=case.module) for case in info_cases.CASES])
def test_a_module_that_reads_returns_all_or_fails(
    server: Server, case: Case, tmp_path: Path, report: t.Callable[[Outcome], None]
) -> None:
    report(Reader(case, server, tmp_path).run())
