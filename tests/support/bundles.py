"""Bundles of a few bytes, whole or damaged."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfprovisioner.bundles import contents
from tfprovisioner.bundles.contents import File, Kernel, Manifest
from tfprovisioner.catalogue.releases import platform_name

WHEEL = "wheels/small-1.0-py3-none-any.whl"
FILES: Mapping[str, bytes] = {WHEEL: b"a wheel", "README.txt": b"read me"}


def manifest(files: Mapping[str, bytes] = FILES, **changes: Any) -> Manifest:
    """The manifest of some files, for one kernel that needs the wheel."""
    kernel = Kernel("1.15", "1.15.5", "3.7", "0" * 64, "", (), (WHEEL,))
    listed = tuple(File(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items())
    whole = Manifest(platform_name(), "0.1.0", ("3.12",), (WHEEL,), ("tfkernels==0.1.0",), (kernel,), (), listed)
    return replace(whole, **changes)


def write(path: Path, described: Manifest | str | bytes, files: Mapping[str, bytes] = FILES, **options: Any) -> Path:
    """A bundle of a manifest and files that need not be its own; ``options`` are those of ``ZipFile``."""
    text = described.to_json() if isinstance(described, Manifest) else described
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(contents.MANIFEST, text)
        for name, content in files.items():
            archive.writestr(name, content)
    return path
