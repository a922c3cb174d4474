"""What a failed build of a package says of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfprovisioner.catalogue import metadata
from tfprovisioner.resolution.build_logs import machine_lacks
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed


@pytest.mark.parametrize(
    ("log", "missing"),
    [
        ("error: command 'gcc' failed: No such file or directory", "compiler gcc"),
        ("unable to execute 'x86_64-linux-gnu-gcc': No such file or directory", "compiler x86_64-linux-gnu-gcc"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'g++'", "compiler g++"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/cc': '/usr/bin/cc'",
            "compiler /usr/bin/cc",
        ),
        ("src/module.c:2:10: fatal error: Python.h: No such file or directory", "header Python.h"),
        ("a.c:1:10: fatal error: sndfile.h: No such file or directory", "header sndfile.h"),
        ("a.c:1:10: fatal error: 'hdf5.h' file not found", "header hdf5.h"),
        ("/usr/bin/ld: cannot find -lopus: No such file or directory", "system library opus"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'curl-config': 'curl-config'", "program curl-config"),
        ("/bin/sh: 1: mysql_config: not found", "program mysql_config"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'README.md'", None),
        ("error: command 'gcc' failed with exit status 1", None),
        ("ModuleNotFoundError: No module named 'numpy'", None),
    ],
)
def test_what_the_machine_lacks_is_named(log: str, missing: str | None) -> None:
    said = machine_lacks(log)
    assert (missing is None and said is None) or (said or "").startswith(f"the {missing} is missing")


def test_tools_that_ask_for_themselves_hold_for_all_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv would install the newest setuptools over the old one: setup code of 45 asks for setuptools again."""
    limits: list[str] = []
    settings: list[dict[str, Any]] = []
    failure = (
        "Failed to build `markupsafe==1.0`\nCall to `setuptools.build_meta:__legacy__.build_wheel` failed\n[stderr]\n"
        "ImportError: cannot import name 'Feature' from 'setuptools'"
    )

    def run(words: list[str], folder: Path, say: object, given: dict[str, Any], *_: object) -> None:
        file = words[words.index("--build-constraints") + 1] if "--build-constraints" in words else None
        limits.append(Path(file).read_text() if file else "")
        settings.append(given)
        if len(limits) == 1:
            raise UvFailed(failure)

    monkeypatch.setattr(uv, "run", run)
    builds = SourceBuilds({}, "3.7.16", more=True)
    builds._add({"markupsafe"})
    builds.run(["pip", "compile"], tmp_path, print)
    assert limits == ["", "setuptools<46\n"]
    assert settings[1]["extra-build-dependencies"] == {"markupsafe": ["setuptools<46"]}


def test_old_numba_has_the_llvmlite_of_its_time() -> None:
    rows = {(row["name"], row["version"]): row["requires-dist"] for row in metadata.entries()}
    assert "llvmlite>=0.31,<0.32" in str(rows["numba", "0.47.0"])
