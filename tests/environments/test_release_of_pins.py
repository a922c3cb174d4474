"""The user's pins decide the release, where a file allows several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import package_index
from tfprovisioner.catalogue import releases
from tfprovisioner.resolution import release_of_pins, uv_resolution

_RELEASES = {version: releases.find(version) for version in ("1.15.5", "1.15.4", "1.14.0")}


@pytest.fixture
def metadata(index: package_index.Index, monkeypatch: pytest.MonkeyPatch) -> package_index.Index:
    """An index where 1.15 needs NumPy 1.16, and 1.14 a package without a wheel."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    needed = {"1.15.5": "numpy>=1.16", "1.15.4": "numpy", "1.14.0": "numpy>=1.14\nRequires-Dist: built"}
    for version, requirement in needed.items():
        text = f"Metadata-Version: 2.1\nName: tensorflow\nVersion: {version}\nRequires-Dist: {requirement}\n"
        package_index.wheel(index.folder, "tensorflow", version, {f"tensorflow-{version}.dist-info/METADATA": text})
    for version in ("1.15.0", "1.16.0"):
        package_index.wheel(index.folder, "numpy", version, {})
    package_index.source(index.folder, "built", "1.0", "raise SystemExit('not for you')")
    return index


def test_the_newest_release_goes_with_the_other_lines(
    metadata: package_index.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, resolve = list[str](), uv_resolution.resolve

    def counted(requirements: Sequence[str], *rest: Any) -> str:
        asked.append(requirements[0])
        return resolve(requirements, *rest)

    monkeypatch.setattr(uv_resolution, "resolve", counted)
    fitting = [(release, ["3.7", "3.6"]) for release in _RELEASES.values()]

    def newest(*lines: str) -> tuple[str, list[str]] | None:
        found = release_of_pins.newest(fitting, lines)
        return found and (found[0].version, found[1])

    assert newest("numpy==1.16.0") == ("1.15.5", ["3.7", "3.6"])
    assert newest("-c numpy<1.16", "six") == ("1.14.0", ["3.7", "3.6"]), "of each line one is tried"
    assert asked.count("tensorflow==1.15.5") == 2, "a refusal that is not about Pythons holds for all of them"
    old = metadata.folder / "numpy-1.15.0-py3-none-any.whl"
    old.rename(old.with_name("numpy-1.15.0-cp36-cp36m-manylinux1_x86_64.whl"))
    assert newest("numpy==1.15.0") == ("1.14.0", ["3.6"])
    assert newest("numpy==9") is None, "the installation says what is missing"
