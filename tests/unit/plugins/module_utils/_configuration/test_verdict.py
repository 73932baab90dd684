# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser_program import ACCEPTED, REFUSED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import (
    CONFIGURATION,
    INSTALLATION,
    Verdict,
    verdict_of,
)

_FROM_SYNAPSE = (
    "Traceback (most recent call last):\n"
    '  File "/venv/synapse/config/__main__.py", line 36, in main\n'
    '    config = HomeServerConfig.load_config("", load_config_args)\n'
    '  File "/venv/synapse/config/_base.py", line 595, in load_config\n'
    "    obj, _ = cls.load_config_with_parser(config_parser, argv_options)\n"
)


class TestVerdict:
    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            ("\ncaches.global_factor must be a number.\n", "caches.global_factor must be a number."),
            (f"{_FROM_SYNAPSE}TypeError: not int\n", "TypeError: not int."),
            (
                f'{_FROM_SYNAPSE}yaml.parser.ParserError: while parsing\nfound the end\n  in "/a/b.yaml", line 2\n',
                'yaml.parser.ParserError: while parsing found the end in "/a/b.yaml", line 2.',
            ),
            (
                f"{_FROM_SYNAPSE}KeyError: 1\n\nDuring handling of it:\n\n{_FROM_SYNAPSE}ValueError: 1T\n",
                "ValueError: 1T.",
            ),
            ("key servers are trusted\n" + "-" * 80 + "\n\nserver_name is missing\n", "server_name is missing."),
            ("a key is missing\n\nNo database\nis set.\n", "a key is missing. No database is set."),
            (" \n", "It ended without a message."),
            ("odd \ufffd bytes!", "odd \ufffd bytes!"),
        ],
    )
    def test_has_the_last_words_of_synapse(self, errors: str, expected: str) -> None:
        assert verdict_of(Completed(REFUSED, "", errors)) == Verdict(CONFIGURATION, expected)

    @pytest.mark.parametrize(
        "errors",
        [
            "/venv/bin/python: No module named synapse\n",
            "/venv/bin/python: Error while finding module specification for 'synapse.config'\n",
            'Traceback (most recent call last):\n  File "/venv/synapse/__init__.py", line 1, in <module>\n'
            "ImportError: broken\n",
        ],
    )
    def test_blames_the_installation(self, errors: str) -> None:
        assert verdict_of(Completed(1, "", errors)).cause == INSTALLATION

    @pytest.mark.parametrize("status", [0, 1])
    def test_blames_a_program_that_is_not_synapse(self, status: int) -> None:
        # Such as /bin/true, or a module of Synapse that ends the process.
        expected = f"It ended with status {status} and without a message."
        assert verdict_of(Completed(status, "", "")) == Verdict(INSTALLATION, expected)
        assert verdict_of(Completed(status, "", "invalid option\n")) == Verdict(INSTALLATION, "invalid option.")

    def test_blames_the_configuration_for_its_modules(self) -> None:
        found = verdict_of(Completed(REFUSED, "", f"{_FROM_SYNAPSE}ModuleNotFoundError: No module named 'a'\n"))
        assert found == Verdict(CONFIGURATION, "ModuleNotFoundError: No module named 'a'.")

    def test_does_not_mind_warnings(self) -> None:
        assert verdict_of(Completed(ACCEPTED, "", "Traceback (most recent call last):\n")) == Verdict()
        assert Verdict().shown() == {"accepted": True, "cause": "", "complaint": ""}

    @pytest.mark.parametrize(
        ("status", "errors", "expected"),
        [
            (-11, "", "It was ended by the signal SIGSEGV."),
            (-9, "", "It was ended by the signal SIGKILL, for example because of too little memory."),
            (-6, f"{_FROM_SYNAPSE}double free\n", "It was ended by the signal SIGABRT. double free."),
            (-35, "", "It was ended by signal 35."),
        ],
    )
    def test_blames_the_installation_for_a_signal(self, status: int, errors: str, expected: str) -> None:
        assert verdict_of(Completed(status, "", errors)) == Verdict(INSTALLATION, expected)

    @pytest.mark.parametrize(
        "secret",
        [
            "two  spaces",
            "tab\tand\nline",
            "back\\slash",
            'it\'s "quoted"',
            "caf\u00e9\u2028x",
            " abcd ",
            "a1\n\nb2  c\\",
        ],
    )
    def test_hides_every_form_of_a_secret(self, secret: str) -> None:
        errors = f"{_FROM_SYNAPSE}ValueError: <{secret}> and <{repr(secret)[1:-1]}> are wrong\n"
        found = verdict_of(Completed(REFUSED, "", errors)).hiding({secret})
        assert found.complaint.replace(" ", "") == "ValueError:<(hidden)>and<(hidden)>arewrong."

    def test_does_not_hide_what_any_text_contains(self) -> None:
        assert Verdict(CONFIGURATION, "a b is wrong.").hiding({"  a  "}).complaint == "a b is wrong."

    def test_hides_values_that_may_have_a_part_of_a_secret(self) -> None:
        words = "no [type=x, input_value={'a': 'first half...second half'}, input_type=dict]."
        words += " no [input_value='b', input_type=str]."
        assert Verdict(CONFIGURATION, words).hiding({"first half of the second half"}).complaint == (
            "no [type=x, input_value=(hidden), input_type=dict]. no [input_value='b', input_type=str]."
        )

    def test_is_not_too_long_and_has_no_half_secret(self) -> None:
        found = Verdict(CONFIGURATION, "x" * 1995 + " hush-hush " + "x" * 3000).hiding({"hush-hush"})
        assert found.complaint == "x" * 1995 + " (hi…"
        assert Verdict(CONFIGURATION, "x" * 2000).hiding(()).complaint == "x" * 2000

    def test_hides_secrets(self) -> None:
        found = Verdict(CONFIGURATION, "hush and hush-hush are wrong.").hiding({"hush", "hush-hush"})
        assert found.complaint == "(hidden) and (hidden) are wrong."
