"""ARCHITECTURE and CONTRIBUTING name files and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_BELOW = (_ROOT, _ROOT / "kernels" / "tfkernels", _ROOT / "provisioner" / "tfprovisioner")
_MADE = ("__init__.py", "dist/")
"""One file of many, and what only ``make dist`` makes."""


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_exists(page: str) -> None:
    spans = re.findall(r"`([\w./]+)`", (_ROOT / page).read_text(encoding="utf-8"))
    paths = [
        span for span in spans if span.endswith(".py") or ("/" in span and not span.startswith((".venv", "build")))
    ]
    assert len(paths) > 3
    assert not [path for path in paths if path not in _MADE and not any((top / path).exists() for top in _BELOW)]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_exists(page: str) -> None:
    makefile = (_ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", makefile, re.MULTILINE)
    named = re.findall(r"(?:`|^    )make ([\w-]+)", (_ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    assert not set(named) - {*targets}
