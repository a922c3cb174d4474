"""The command line of ``pytest --tf``: what each side gets, and a test's name with its release."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.config import get_config

from tfprovisioner.pytest_plugin import plugin
from tfprovisioner.pytest_plugin.command_line import divide, of_release, with_release, without_release


@pytest.fixture
def parser() -> Any:
    """With the options of another plugin, as of pytest-xdist and pytest-timeout."""
    parser: Any = get_config()._parser
    plugin.pytest_addoption(parser)
    parser.getgroup("others")._addoption("-n", "--numprocesses")
    parser.getgroup("others").addoption("--timeout", type=float)
    parser.addini("timeout", "of a plugin")
    return parser


@pytest.mark.parametrize(
    ("words", "here", "releases", "optional"),
    [
        ("--tf 1.15 tests", "--tf 1.15 tests", "tests", []),
        ("--tf=1.15 -k name -x", "--tf=1.15 -k name -x", "-k name -x", []),
        ("-kname -xvs tests/test_a.py", "-kname -xvs tests/test_a.py", "-kname -xvs tests/test_a.py", []),
        ("--junitxml out.xml --durations=3", "--junitxml out.xml --durations=3", "", []),
        ("--runslow --maxfail 2", "--maxfail 2", "--runslow --maxfail 2", []),
        ("-n 4 --timeout 3 a", "--timeout 3 a", "-n 4 --timeout 3 a", [["-n", "4"], ["--timeout", "3"]]),
        ("-n4 --timeout=3", "--timeout=3", "-n4 --timeout=3", [["-n4"], ["--timeout=3"]]),
        ("-o log_cli=1 -- -odd", "-o log_cli=1 -- -odd", "-o log_cli=1 -- -odd", []),
    ],
)
def test_each_side_gets_its_words(parser: Any, words: str, here: str, releases: str, optional: list[list[str]]) -> None:
    divided = divide(parser, words.split())
    assert " ".join(divided.here) == here
    assert " ".join(divided.releases) == releases
    assert divided.optional == optional
    assert divided.plugin_ini == ["timeout"]


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_debuggers_are_refused(parser: Any, option: str) -> None:
    with pytest.raises(pytest.UsageError, match=f"Cannot use {option} with --tf"):
        divide(parser, ["--tf", "tf1", option])


@pytest.mark.parametrize("test", ["a.py::test_b", "a.py::test_b[x-1]", "a.py::Class::test_b[]"])
def test_names_with_a_release_lead_back(test: str) -> None:
    assert without_release(with_release(test, "2.4"), ["1.15", "2.4"]) == (test, "2.4")
    assert without_release(test, ["1.15", "2.4"]) is None


def test_tests_of_one_release_are_for_it_alone() -> None:
    releases = ["1.15", "2.4"]
    words = ["-k", "x", "a.py::test_b[1.15]", "a.py::test_c[y-1.15]"]
    assert of_release(words, "1.15", releases) == ["-k", "x", "a.py::test_b", "a.py::test_c[y]"]
    assert of_release(words, "2.4", releases) is None
    assert of_release(["a.py::test_b[1.15]", "a.py::test_d"], "2.4", releases) == ["a.py::test_d"]
    assert of_release(["a.py::test_b[x]"], "2.4", releases) == ["a.py::test_b[x]"]
