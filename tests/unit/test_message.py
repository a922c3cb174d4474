"""Messages: whatever is wrong with one is an error that says so, and never anything else."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import specimens
from tests.support.memory import limited
from tests.support.nested_values import DEEP, called, deep
from tests.support.specimens import assert_same as assert_same
from tfkernels.errors import ExchangeError
from tfkernels.transfer.decoder import from_bytes, unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.shared_memory import reader
from tfkernels.transfer.shared_memory.segment import Segment

VALUES = {name: [value, np.ones((2, 3)), np.float32(1)] for name, value in specimens.all_here().items()}
LETTERS = st.one_of(st.sampled_from(list(b'0123456789[]{}",-.eE:abcntf')), st.integers(0, 255))
PLACES = st.tuples(st.sampled_from(["buffers", "skeleton"]), st.floats(0, 1), LETTERS)


@settings(max_examples=400)
@given(st.sampled_from(sorted(VALUES)), st.lists(PLACES, min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_whatever_somebody_altered_is_refused_or_a_value(name: str, changes: list[tuple[str, float, int]]) -> None:
    with Segment() as segment:
        descriptor = ValueMessage({"x": VALUES[name]}).write(segment.descriptor, segment.address)
        (part,) = descriptor["parts"]
        starts = {"buffers": 0, "skeleton": part["buffers"]}
        for area, where, letter in changes:
            os.pwrite(segment.descriptor, bytes([letter]), starts[area] + int(where * part[area]))
        with contextlib.suppress(ExchangeError):
            unpack(descriptor)


@pytest.mark.parametrize("value", [None, -5, 2**60, 2**70, 1.5, "1", [], {}])
@pytest.mark.parametrize("key", ["buffers", "skeleton", "segment", "path", "device", "inode", "parts"])
def test_a_damaged_descriptor_is_refused(key: str, value: Any) -> None:
    with Segment() as segment:
        descriptor = ValueMessage({"x": np.ones(10_000)}).write(segment.descriptor, segment.address)
        descriptor = json.loads(json.dumps(descriptor))
        places = [descriptor, *descriptor["parts"], descriptor["parts"][0]["segment"]]
        (owner,) = [place for place in places if key in place]
        owner[key] = value
        if key == "parts" and value in ([], {}):
            assert unpack(descriptor) == {}
            return
        with pytest.raises(ExchangeError):
            unpack(descriptor)
        del owner[key]
        with pytest.raises(ExchangeError):
            unpack(descriptor)


@pytest.mark.parametrize("value", ["ä" * 5000, np.arange(5000)], ids=["skeleton", "buffers"])
def test_a_system_that_reads_less_at_a_time(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reads 2 GiB at once, and a skeleton may be larger: one long text. Here it gives 900 bytes, or none."""

    class Slow(io.FileIO):
        most = 900

        def readinto(self, memory: Any) -> int:
            return super().readinto(memory[: self.most])

    def slowly(descriptor: int, *_: object, **options: Any) -> io.FileIO:
        return Slow(descriptor, closefd=False)

    monkeypatch.setattr(reader, "open", slowly, raising=False)
    with Segment() as segment:
        descriptor = ValueMessage({"x": value}).write(segment.descriptor, segment.address)
        assert_same(unpack(descriptor)["x"], value)
        monkeypatch.setattr(Slow, "most", 0)
        with pytest.raises(ExchangeError, match="shorter than announced"):
            unpack(descriptor)


def test_too_little_memory_where_it_arrives() -> None:
    """Much more than what tests before may give back meanwhile, and the C library has of smaller arrays."""
    with Segment() as segment:
        descriptor = ValueMessage({"x": np.ones(300_000_000, "u1")}).write(segment.descriptor, segment.address)
        gc.collect()
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 10_000_000
        with (
            limited(resource.RLIMIT_AS, limit),
            pytest.raises(ExchangeError, match="not enough memory here for what arrived"),
        ):
            unpack(descriptor)
        assert len(unpack(descriptor)["x"]) == 300_000_000


@pytest.fixture
def room() -> int:
    """How many calls deep a program may still go from here."""
    frame, used = sys._getframe(), 0
    while frame.f_back is not None:
        frame, used = frame.f_back, used + 1
    return sys.getrecursionlimit() - used


@pytest.mark.parametrize("name", DEEP)
def test_a_full_call_stack_is_explained(room: int, name: str) -> None:
    value = deep(DEEP[name])
    says = r"nested deeper than the stack of calls has room for.*sys\.setrecursionlimit\(2000\)"
    with pytest.raises(ExchangeError, match="^x: it is " + says):
        called(room - 60, lambda: ValueMessage({"x": value}))
    content = bytes(ValueMessage({"x": value}).to_bytes())
    with pytest.raises(ExchangeError, match=says):
        called(room - 60, lambda: from_bytes(content))
    assert_same(from_bytes(content)["x"], value)
