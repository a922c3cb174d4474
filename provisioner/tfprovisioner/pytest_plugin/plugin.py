"""Entry point of pytest: the options, and the hooks that hand the tests over to the releases.

Every pytest of an environment with tfkernels imports this module, so it imports nothing heavy.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tfprovisioner.pytest_plugin.run import Run

_HELP = "Releases to test on, such as 1.15,2.4,2.21, or kernels. Each runs the tests in its own environment."
_ELSEWHERE = ("help", "version", "showfixtures", "show_fixtures_per_test", "markers", "setupplan")
"""Options with which pytest runs no tests, or needs them here."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tfkernels", "tests on several TensorFlow releases")
    group.addoption("--tf", metavar="RELEASES", help=_HELP)
    group.addoption(
        "--tf-with",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="A package that the tests need beside pytest, such as 'pytest-mock>=3'; repeatable.",
    )
    group.addoption(
        "--tf-processes", metavar="N", type=int, help="Releases that run at the same time (default: processors)."
    )
    group.addoption(
        "--tf-report",
        metavar="FILE",
        action="append",
        default=[],
        help="Write which test did what on which release: FILE.json, or FILE.md for people; repeatable.",
    )
    parser.addini("tf_with", "Packages that the tests need beside pytest, one a line; as --tf-with.", type="linelist")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: Any, parser: Any, args: list[str]) -> None:
    known = early_config.known_args_namespace
    if not known.tf or any(getattr(known, name, False) for name in _ELSEWHERE):
        return
    from tfprovisioner.pytest_plugin import command_line

    known.noconftest = True  # conftest files import what only the environments have
    divided = command_line.divide(parser, args)
    args[:] = divided.here
    early_config.pluginmanager.register(_Releases(divided), "tfkernels-releases")


def pytest_configure(config: pytest.Config) -> None:
    from tfkernels.testing import marker

    config.addinivalue_line("markers", marker.LINE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without ``--tf``: the marker holds for the TensorFlow of this Python, if there is one."""
    if any(item.get_closest_marker("tf") for item in items):
        from tfkernels.testing import marker
        from tfprovisioner.pytest_plugin.this_python import tensorflow_version

        version = tensorflow_version()
        if version is not None:
            marker.skip_other_releases(items, version)


class _Releases:
    """The hooks of a run with ``--tf``: no test is collected here."""

    def __init__(self, divided: Any) -> None:
        self._divided = divided
        self._run: Run | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from tfprovisioner.pytest_plugin import run

        self._run = run.planned(config, self._divided)
        for name in ("lfplugin", "nfplugin", "stepwiseplugin"):  # each release has its own
            if config.pluginmanager.hasplugin(name):
                config.pluginmanager.unregister(name=name)
        terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.showfspath = False  # tests of several files run at the same time

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        assert self._run is not None
        self._run.execute(session)
        return True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        from tfprovisioner.pytest_plugin import summary

        if self._run is not None:
            summary.show(self._run.results, terminalreporter)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from tfprovisioner.pytest_plugin import summary

        if self._run is not None:
            for path in session.config.getoption("--tf-report"):
                summary.write(self._run.results, Path(session.config.invocation_params.dir, path))
