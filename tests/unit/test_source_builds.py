"""What a failed build of a package says of the machine."""

from __future__ import annotations

import pytest

from tfprovisioner.resolution.source_builds import machine_lacks


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
