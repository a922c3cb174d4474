"""Shared memory: private, never a SIGBUS, nothing left behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkernels import segments
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.parcel import Parcel, unpack
from tfkernels.segments import Segment, open_segment, read, write


@pytest.fixture(params=["anonymous", "named"])
def segment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segment]:
    """Both kinds: Linux's, and the one of systems that have no anonymous memory files."""
    if request.param == "named":
        monkeypatch.setattr(segments, "_anonymous_file", lambda: None)
    with Segment() as made:
        yield made


def send(values: dict[str, Any], segment: Segment) -> dict[str, Any]:
    return unpack(Parcel(values).write(segment.descriptor, segment.address))


@pytest.mark.parametrize("count", [0, 10, 200_000])
def test_values_arrive_independent_and_outlive_the_segment(segment: Segment, count: int) -> None:
    array = np.arange(count, dtype="f4")
    there = send({"x": array, "y": [1, "a"]}, segment)
    segment.close()
    array[:] = -1
    assert there["y"] == [1, "a"]
    assert np.array_equal(there["x"], np.arange(count))
    there["x"] += 1
    assert np.array_equal(there["x"], np.arange(count) + 1)


def test_nobody_else_can_open_it(segment: Segment) -> None:
    path = segment.address["path"]
    if path.startswith("/proc"):
        assert os.readlink(path).endswith("(deleted)"), "it has no name that could be left behind"
    else:
        assert os.fstat(segment.descriptor).st_mode & 0o077 == 0
    segment.close()
    segment.close()
    assert not Path(path).exists()


def test_no_room_is_an_error_and_no_signal(segment: Segment) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ExchangeError, match="no room in shared memory"):
            write(segment.descriptor, 0, np.zeros(8192, "u1"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_shortened_segment_is_refused(segment: Segment) -> None:
    descriptor = Parcel({"x": np.zeros(10**6)}).write(segment.descriptor, segment.address)
    os.ftruncate(segment.descriptor, 1000)
    with pytest.raises(ExchangeError, match=r"damaged|shorter"):
        unpack(descriptor)
    with pytest.raises(ExchangeError, match="shorter"):
        read(segment.descriptor, 10**6)


def test_only_regular_files_of_this_user_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "missing", tmp_path, "/dev/zero"):
        with pytest.raises(ExchangeError):
            open_segment({"path": str(path), "device": os.stat("/dev/zero").st_dev, "inode": 1})


def test_a_path_that_leads_to_another_file_by_now_is_refused(tmp_path: Path) -> None:
    """A closed segment's number is given to the next file that the owner opens."""
    segment = Segment()
    address = segment.address
    segment.close()
    (tmp_path / "precious").write_text("precious")
    with (tmp_path / "precious").open() as file:
        address["path"] = f"/proc/self/fd/{file.fileno()}"
        with pytest.raises(ExchangeError, match="not any more"):
            open_segment(address)


def test_other_format_is_named(segment: Segment) -> None:
    descriptor = Parcel({"x": 1}).write(segment.descriptor, segment.address)
    with pytest.raises(ExchangeError, match=r"format 99.*tfkernels install"):
        unpack({**descriptor, "format": 99})


def test_all_or_nothing() -> None:
    with pytest.raises(NotPortable, match=r"^weights\['dense'\]\[1\]: "):
        Parcel({"good": np.ones(3), "weights": {"dense": [1, object()]}})


def test_a_thousand_exchanges_leave_no_descriptor(segment: Segment) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1000):
        with Segment() as fresh:
            assert np.array_equal(send({"x": np.full(100_000, number, "u2")}, fresh)["x"][:3], [number] * 3)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_killed_in_the_middle_of_writing_leaves_nothing() -> None:
    """The kernel of the operating system frees memory without a name; so it is enough that there is no name."""
    code = "import os, signal; from tfkernels.segments import *; s = Segment(); write(s.descriptor, 0, bytes(10**7));"
    code += "print(s.address['path'], flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert not os.path.lexists(done.stdout.strip())
    assert not [name for name in os.listdir("/dev/shm") if "tfkernels" in name]
