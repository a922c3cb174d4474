"""The programs that a check starts in an environment: what their ends mean."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tfprovisioner.environments import run_checks
from tfprovisioner.environments.run_checks import load_library
from tfprovisioner.errors import BrokenEnvironment


@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF"])
def test_a_library_that_cannot_be_loaded(content: bytes, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(content)
    with pytest.raises(BrokenEnvironment, match=r"library\.so"):
        load_library(Path(sys.executable), library)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("exit 1", "ValueError: no"),
        ("kill -9 $$", "it was ended by signal SIGKILL (a kill -9, or the system ran out of memory)"),
        ("kill -11 $$", "it was ended by signal SIGSEGV"),
        ("kill -6 $$", "it was ended by signal SIGABRT: ValueError: no"),
    ],
)
def test_outcomes_of_trials_name_the_cause(end: str, outcome: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho ValueError: no >&2\n{end}\n")
    python.chmod(0o755)
    assert run_checks.trial(python, "lstm") == outcome
