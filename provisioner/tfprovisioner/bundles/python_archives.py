"""How uv installs the interpreters of a bundle without network: a list of downloads with addresses of files.

Standard library only: each bundle has a copy of this module in its program.
"""

from __future__ import annotations

import json
from pathlib import Path

from tfprovisioner.bundles.contents import BundledPython, Manifest

_LIST = "downloads.json"


def install_command(python: BundledPython) -> list[str]:
    """uv's arguments. Its configuration may forbid what a bundle needs, so it is left out."""
    return ["python", "install", "--no-config", "--no-bin", python.key]


def described(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Writes the list for the archives in ``folder``, and returns the variables with which uv reads it."""
    hashes = {file.path: file.sha256 for file in manifest.files}
    archives = [python for python in manifest.pythons if python.source == "uv"]
    content = {python.key: _entry(python, folder, hashes[python.files[0]]) for python in archives}
    (folder / _LIST).write_text(json.dumps(content), encoding="utf-8")
    # Files only, but uv calls it a download.
    return {
        "UV_PYTHON_DOWNLOADS_JSON_URL": str(folder / _LIST),
        "UV_PYTHON_DOWNLOADS": "manual",
        "UV_OFFLINE": "false",
    }


def _entry(python: BundledPython, folder: Path, sha256: str) -> dict[str, object]:
    name, version, system, arch, libc = python.key.split("-")
    major, minor, patch = map(int, version.split("."))
    return {
        "name": name, "major": major, "minor": minor, "patch": patch, "prerelease": "", "os": system, "libc": libc,
        "arch": {"family": arch, "variant": None}, "variant": None, "build": "0",
        "url": (folder / python.files[0]).as_uri(), "sha256": sha256,
    }  # fmt: skip
