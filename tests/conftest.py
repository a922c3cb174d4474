from __future__ import annotations

import os
import signal
import sys

import pytest

import tests.support.hypothesis_profile  # noqa: F401
import tfprovisioner.system.skipped_imports  # noqa: F401 (before nbformat)
from tests.support import processor_times
from tests.support.processor_times import pytest_runtest_makereport, pytest_runtest_setup, pytest_terminal_summary

__all__ = ["pytest_runtest_makereport", "pytest_runtest_setup", "pytest_terminal_summary"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the long form of the tests that have one (`make soak`)")
    processor_times.add_option(parser)


def pytest_configure() -> None:
    """Undoes what this process, and all that tests start, would inherit from a shell or a container."""
    # A shell that starts ``pytest … &`` has interrupts ignored.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # With it, which many containers set, each process that a test starts compiles all modules that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
