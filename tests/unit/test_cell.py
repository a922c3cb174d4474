"""Cells as futures, with a connection that sends nothing."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from tfkernels.client.cell import Cell
from tfkernels.errors import CellCancelled, CellTimeout, ExchangeError, RemoteError, RemoteInterrupt
from tfkernels.output.relay import FunctionRelay
from tfkernels.transfer.segment_pool import pack, shared

OK = {"status": "ok", "payload": []}
INTERRUPTED = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": ["stopped"]}


class Silent:
    """A connection that records the calls of its cells."""

    name = "tf1"
    second_interrupt = ""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.calls: list[str] = []

    def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"header": {"msg_id": "1", "msg_type": kind}, "content": content, "metadata": metadata}

    def submit(self, cell: Cell) -> None:
        self.calls.append("submit")

    def interrupt(self, cell: Cell) -> None:
        cell.interrupts += 1
        self.calls.append("interrupt")

    def kill(self) -> None:
        self.calls.append("kill")

    def show(self, cell: Cell, messages: list[dict[str, Any]]) -> bool:
        return False


def made(shown: list[dict[str, Any]] | None = None, **options: Any) -> Cell:
    """A cell that was submitted in the background, and has begun."""
    relay = FunctionRelay((shown if shown is not None else []).append)
    cell = Cell(Silent(), "%%tf1", "\nx = 1\ny = 2", relay, **options)
    cell.submit()
    cell.began = 0.0
    return cell


def test_a_cell_without_outputs_has_an_empty_result() -> None:
    got: list[dict[str, Any]] = []
    cell = made(on_result=got.append)
    with pytest.raises(TimeoutError, match="It runs on"):
        cell.result(0)
    cell.finish(OK)
    assert cell.done()
    assert cell.exception(0) is None
    assert cell.result() == cell.result() == {}
    assert got == [{}], "once"
    assert not cell.cancel()
    assert "done after" in repr(cell)
    assert "x = 1" in repr(cell)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"status": "error", "ename": "ValueError", "evalue": "no"}, RemoteError),
        ({"status": "error", "exchange_failed": True, "evalue": "no"}, ExchangeError),
        ({"status": "aborted"}, RemoteError),
    ],
)
def test_an_error_in_the_reply_is_raised_and_shown_once(reply: dict[str, Any], error: type[Exception]) -> None:
    shown: list[dict[str, Any]] = []
    cell = made(shown)
    cell.finish(reply)
    for _ in range(2):
        with pytest.raises(error):
            cell.result(0)
    assert [output["output_type"] for output in shown] == ["error"]


@pytest.mark.parametrize(
    ("reply", "shown_errors"),
    [
        ({"status": "error", "ename": "ValueError", "evalue": "held"}, 0),
        ({"status": "error", "ename": "ValueError", "evalue": "other"}, 1),
        ({"status": "error", "ename": "KeyError", "evalue": "held"}, 1),
        ({"status": "aborted"}, 1),
        (OK, 1),
    ],
)
def test_a_held_error_is_shown_unless_raised(reply: dict[str, Any], shown_errors: int) -> None:
    shown: list[dict[str, Any]] = []
    cell = made(shown, shows_failure=False)
    content = {"ename": "ValueError", "evalue": "held", "traceback": ["ValueError: held"]}
    cell.held_traceback = {"header": {"msg_type": "error"}, "content": content, "metadata": {}}
    cell.finish(reply)
    assert [output["output_type"] for output in shown] == ["error"] * shown_errors


def test_an_interrupt_is_another_error_in_the_foreground() -> None:
    cell = made()
    assert cell.cancel()
    cell.finish(INTERRUPTED)
    assert isinstance(cell.exception(0), CellCancelled)

    inbox: SimpleQueue[Any] = SimpleQueue()
    cell = made()
    cell.submit(inbox)
    cell.interrupt()
    cell.finish(INTERRUPTED)
    assert isinstance(cell.exception(0), RemoteInterrupt)
    assert inbox.get_nowait() == (cell, None)


def test_a_cell_that_is_given_up_stays_failed_when_it_ends() -> None:
    cell = made(timeout=0.5)
    cell.give_up()
    cell.finish(OK)
    with pytest.raises(CellTimeout, match="ignores the interrupt"):
        cell.result(0)


def test_inputs_are_held_until_the_cell_has_ended() -> None:
    before = len(shared.stats().taken)
    with pack({"x": b"y" * 1000}) as packed:
        cell = made(inputs=[packed])
    assert len(shared.stats().taken) == before + 1
    cell.finish(OK)
    assert len(shared.stats().taken) == before


def test_memory_that_a_left_cell_may_write_to_is_not_used_again() -> None:
    with pack({"x": b"y" * 1000}) as packed:
        packed.reusable = True
        address = packed.address
        cell = made(inputs=[packed], outputs={"x": "x"})
    cell.running = True
    cell.drop()
    cell.abandon()
    with pack({"x": b"y" * 1000}) as packed:
        assert packed.address != address


def test_a_cell_that_needs_another_waits_and_fails_with_it() -> None:
    needed = made(shows_failure=False)
    cell = made(needs=[needed])
    assert not cell.can_run()
    needed.finish({"status": "error", "ename": "ValueError", "evalue": "no"})
    assert cell.can_run()
    with pytest.raises(RemoteError, match="ValueError"):
        cell.add_needed_inputs()
