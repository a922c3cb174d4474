"""Segments that forked children, killed processes and started programs have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.memory import send
from tests.support.processes import ended
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Segment

MAPPED = np.ones(MIN_MAPPED_BYTES, np.uint8)
"""So large that it is looked at where it lies."""


def test_a_segment_is_busy_until_all_readers_end() -> None:
    looking = (
        "import sys, json, time; from tfkernels.transfer.decoder import unpack\n"
        "x = unpack(json.loads(sys.argv[1])); print('looks', flush=True); time.sleep(1000)"
    )
    with Segment() as segment:
        descriptor = ValueMessage({"x": MAPPED}).write(segment.descriptor, segment.address)
        command = [sys.executable, "-c", looking, __import__("json").dumps(descriptor)]
        with ended(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert segment.is_busy()
            os.kill(process.pid, signal.SIGKILL)
        assert not segment.is_busy()

        forking = "import os, sys, json, time; from tfkernels.transfer.decoder import unpack\n"
        forking += "x = unpack(json.loads(sys.argv[1])); pid = os.fork()\n"
        forking += "if pid == 0: time.sleep(1000)\ndel x; print(pid, flush=True); sys.stdin.read()"
        command[2] = forking
        with ended(subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            assert segment.is_busy(), "the child still looks into it"
            os.kill(child, signal.SIGKILL)
            process.communicate()
        assert not segment.is_busy()


def test_started_programs_do_not_keep_segments_busy() -> None:
    with Segment() as segment:
        there = send({"x": MAPPED}, segment)
        with ended(subprocess.Popen(["sleep", "1000"])):
            del there
            assert not segment.is_busy()


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as made:
        yield made


def test_a_segment_is_busy_while_forked_children_read(segment: Segment) -> None:
    value = send({"x": MAPPED}, segment)["x"]
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(wait, 1)
        os._exit(0 if np.array_equal(value, MAPPED) else 1)
    del value
    busy = segment.is_busy()
    os.write(go, b" ")
    assert busy
    assert os.waitpid(child, 0)[1] == 0
    assert not segment.is_busy()
    for descriptor in (wait, go):
        os.close(descriptor)


def test_forked_children_do_not_unlock_segments(segment: Segment) -> None:
    value = send({"x": MAPPED}, segment)["x"]
    child = os.fork()
    if child == 0:
        del value
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert segment.is_busy()
    assert np.array_equal(value, MAPPED)


def test_forked_children_start_with_an_empty_pool() -> None:
    code = """
import os, numpy as np
from tfkernels.transfer.segment_pool import pack, shared
def send(value):
    with pack({"x": value}) as shipment:
        return shipment.unpack()["x"]
send(np.zeros(10**6)); send(np.zeros(10**6))
mine = list(shared.stats().kept)
kept = send(np.ones(10**6))
pid = os.fork()
if pid == 0:
    assert not shared.stats().kept
    there = send(np.full(10**6, 2.0))
    assert there[0] == 2 and kept[-1] == 1
    kept[:] = 3
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert list(shared.stats().kept) == mine and shared.stats().kept[0].is_busy() and kept[-1] == 1
del kept
assert not shared.stats().kept[0].is_busy()
assert send(np.full(10**6, 4.0))[-1] == 4
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr


def test_fork_during_a_change_does_not_deadlock() -> None:
    code = """
import os, signal, threading, numpy as np
from tfkernels.transfer import segment_pool
def send(value):
    with segment_pool.pack({"x": value}) as shipment:
        return shipment.unpack()["x"]
send(np.zeros(10**6))
locked, go_on = threading.Event(), threading.Event()
def change():
    with segment_pool.shared.lock:
        locked.set()
        go_on.wait()
thread = threading.Thread(target=change)
thread.start()
locked.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(30)  # ends it, if it waits for a thread that it has not
    assert send(np.ones(10**6))[-1] == 1
    os._exit(0)
ended = os.waitpid(pid, 0)[1]
go_on.set()
thread.join()
assert send(np.ones(10**6))[-1] == 1
print(ended)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "0\n", done.stderr
