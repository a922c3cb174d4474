"""A package that lacks a library of the system fits TensorFlow: the library is named, and not another version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfprovisioner.catalogue import system_libraries
from tfprovisioner.environments import run_checks, verify

_OPEN = "cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            f"ImportError: libGL.so.1: {_OPEN}",
            "libGL.so.1 is missing. Install it (Debian and Ubuntu: apt install libgl1)",
        ),
        (f"ImportError: libgthread-2.0.so.0: {_OPEN}", "apt install libglib2.0-0)"),
        ("OSError: PortAudio library not found", "libportaudio is missing. Install it (Debian and Ubuntu: apt install"),
        (f"ImportError: libodd.so.3: {_OPEN}", "libodd.so.3 is missing. Install the system's package that has it"),
    ],
)
def test_the_missing_library_is_named(error: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks, "_answer", lambda *_: [error, False])
    found = run_checks.import_error(Path("python"), ["cv2"])
    assert found is not None
    text, fits = found
    assert fits
    assert said in verify.needed_here(f"cv2 4.1 cannot be imported: {text}")


@pytest.mark.parametrize(
    "error",
    [
        f"ImportError: libtensorflow_framework.so.1: {_OPEN}",
        f"ImportError: libcudart.so.10.0: {_OPEN}",
        f"ImportError: libpython3.6m.so.1.0: {_OPEN}",
        f"ImportError: libpng16-cfdb1654.so.16.21.0: {_OPEN}",
        "ImportError: x.so: undefined symbol: _ZN10tensorflow",
        "ImportError: odd library not found",
    ],
)
def test_libraries_of_other_wheels_stay_errors(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks, "_answer", lambda *_: [error, False])
    assert system_libraries.missing(error) is None
    assert run_checks.import_error(Path("python"), ["cv2"]) == (error, False)
