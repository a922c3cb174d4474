"""Which TensorFlow releases there are, and what they have wheels for: read from the package index."""

import json
import re
from collections import defaultdict
from typing import Any

from packaging.utils import parse_wheel_filename
from packaging.version import Version
from pypi_simple import PyPISimple

from tfprovisioner.catalogue import releases as catalogue

FIRST = Version("1.0")
OLDEST_PYTHON = Version("3.6")
"""What runs inside kernels does not run on older ones."""

_PLATFORMS = (
    # a pattern of wheel tags, and the name of the platform as `platform_name` of `catalogue.releases` has it
    (r"manylinux\w*_x86_64|linux_x86_64", "linux-x86_64"),
    (r"manylinux\w*_aarch64", "linux-aarch64"),
    (r"macosx_\w+_(x86_64|intel)", "macos-x86_64"),
    (r"macosx_\w+_arm64", "macos-arm64"),
    (r"win_amd64", "windows-x86_64"),
)
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")

Wheels = dict[str, dict[str, dict[str, int]]]
"""By distribution and platform: the Pythons that have a wheel, and its size in bytes."""


def releases() -> list[dict[str, Any]]:
    """Every release from 1.0 on, the oldest version first, as ``catalogue/data/index.json`` has them."""
    found: dict[str, Wheels] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    dates: dict[str, str] = {}
    yanked: dict[str, str] = {}
    with PyPISimple() as client:
        for distribution in _DISTRIBUTIONS:
            for package in client.get_project_page(distribution).packages:
                if package.package_type != "wheel":
                    continue
                _, version, _, tags = parse_wheel_filename(package.filename)
                if version < FIRST or version.is_prerelease:
                    continue
                name = str(version)
                if distribution == "tensorflow":
                    assert package.upload_time is not None
                    day = package.upload_time.date().isoformat()
                    dates[name] = min(dates.get(name, day), day)
                    if package.is_yanked:
                        yanked[name] = package.yanked_reason or "no reason given"
                for tag in tags:
                    platform = next((name for of, name in _PLATFORMS if re.fullmatch(of, tag.platform)), None)
                    python = re.fullmatch(r"cp(\d)(\d+)", tag.interpreter)
                    if platform and python and Version(f"{python[1]}.{python[2]}") >= OLDEST_PYTHON:
                        found[name][distribution][platform][f"{python[1]}.{python[2]}"] = package.size or 0
    return [
        {"version": name, "released": dates[name], **_describe(found[name])}
        | ({"yanked": yanked[name]} if name in yanked else {})
        for name in sorted(dates, key=Version)
    ]


def store(entries: list[dict[str, Any]]) -> None:
    """Writes ``catalogue/data/index.json``, a release in each line."""
    lines = ",\n".join(f" {json.dumps(entry)}" for entry in entries)
    catalogue.INDEX.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    catalogue.releases.cache_clear()
    catalogue.lines.cache_clear()


def _describe(wheels: Wheels) -> dict[str, Any]:
    plain, small, large = (wheels[distribution] for distribution in _DISTRIBUTIONS)
    gpu_size, plain_size = (max(found["linux-x86_64"].values(), default=0) for found in (large, plain))
    return {
        "pythons": sorted({python for pythons in plain.values() for python in pythons}, key=Version, reverse=True),
        "platforms": sorted(plain),
        # Elsewhere it lacks Pythons, or is the same as the plain one.
        "cpu_on": [name for name in sorted(small) if set(small[name]) >= set(plain[name]) and "macos" not in name],
        # From 2.1 on, and in 1.15.0, the plain one can use GPUs itself; the other is an empty shell or the same.
        "gpu": "tensorflow-gpu" if gpu_size > 1.3 * plain_size else "tensorflow",
    }
