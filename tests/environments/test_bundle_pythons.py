"""The interpreters of a bundle: fetched here, installed there without network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import rattler

from tests.support import bundles, package_index
from tests.support.channels import Server
from tests.support.commands import built
from tfprovisioner.bundles import contents, platforms, pythons, write
from tfprovisioner.bundles.contents import File
from tfprovisioner.conda import rattler_folder
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import find, from_conda

Command = Callable[..., tuple[int, str, str]]


def test_conda_packages_of_a_python_are_enough(
    make: Callable[..., Path], command: Command, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made where the channel is, used where it is not."""
    monkeypatch.setattr(rattler_folder, "ensured", lambda report: Path(rattler.__file__).parents[1])
    monkeypatch.setattr(write, "_rattler", lambda planned, report: [])
    monkeypatch.setenv("TFKERNELS_CHANNELS", server.url)
    bundle = make("--pythons")
    (python,) = contents.read(bundle).pythons
    assert (python.minor, python.source) == ("3.7", "conda")
    assert any(path.endswith("/repodata.json") for path in python.files)
    monkeypatch.delenv("TFKERNELS_CHANNELS")
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(place / "another-cache"))
    monkeypatch.setattr(find, "_candidates", list)  # a machine without Pythons
    find.forget()
    server.requests.clear()
    code, _, told = command("install", "--bundle", str(bundle), "--user")
    find.forget()
    assert code == 0, told
    assert not server.requests
    assert "installing Python 3.7" in told
    (record,) = built(place)
    assert Path(json.loads(record.read_text())["base_python"]).is_relative_to(from_conda.root())


def test_a_standalone_python_is_bundled_unchanged(
    standalone: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "packed"
    folder.mkdir()
    python, licences = pythons.fetch("3.12", platforms.find("linux-x86_64"), folder, Reporter("test"))
    assert (python.version, python.source) == ("3.12.9", "uv")
    (path,) = python.files
    assert (folder / path).read_bytes() == standalone.read_bytes()
    assert "PSF-2.0" in licences[path]
    assert [entry.name for entry in folder.iterdir()] == ["pythons"]

    monkeypatch.delenv("UV_PYTHON_DOWNLOADS_JSON_URL")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    listed = File(path, (folder / path).stat().st_size, package_index.digest(folder / path))
    whole = replace(bundles.manifest(), files=(listed,), pythons=(python,))
    pythons.put_in_place(python, whole, folder, Reporter("test"))
    assert (place / "uv" / python.key / "bin" / "python3.12").exists()

    shutil.rmtree(place / "uv")
    wrong = replace(bundles.manifest(), files=(replace(listed, sha256="0" * 64),), pythons=(python,))
    with pytest.raises(BuildFailed, match="Hash mismatch"):
        pythons.put_in_place(python, wrong, folder, Reporter("test"))
    assert not (place / "uv" / python.key).exists()
