"""Values without a cell, to and from kernels of tfkernels: no history, hooks or messages, and in turn with cells."""

from __future__ import annotations

from typing import Any

import pytest

import tfkernels
from tests.kernels.test_cells import Asked, messages_logged
from tests.support.waiting import DEADLINE
from tfkernels.client.kernel import Kernel
from tfkernels.errors import CellCancelled, CellTimeout, RemoteError

HOOKS = """
ran = []
for event in ("pre_execute", "pre_run_cell", "post_execute", "post_run_cell"):
    get_ipython().events.register(event, lambda *_, event=event: ran.append(event))
"""


def test_values_run_no_cell_and_tell_nobody(remote: Kernel) -> None:
    remote.run(HOOKS)
    remote.run("ran.clear()")
    count = remote["get_ipython().execution_count"]
    with messages_logged() as lines:
        remote["x"] = 1
        assert remote["x + 1"] == 2
        assert remote.run("", inputs={"y": 2}, outputs={"z": "x + y"}) == {"z": 3}
    requests = [line.split()[4] for line in lines if " < values " in line]
    caused = [line.split()[3] for line in lines if " > " in line and line.partition(" of ")[2].split()[0] in requests]
    assert caused == ["tfkernels_values_reply"] * 3
    assert remote["ran"] == ["post_execute", "post_run_cell"], "those of the cell that cleared it"
    assert remote["get_ipython().execution_count"] == count


def test_values_come_in_turn_with_cells(remote: Kernel) -> None:
    remote["x"] = 0
    cells = [remote.submit(f"import time; time.sleep(0.1); x = 10 * x + {number}") for number in (1, 2)]
    between = remote.submit("", outputs={"x": "x"})
    last = remote.submit("x += 1")
    assert remote["x"] == 13
    assert between.result(DEADLINE) == {"x": 12}
    for cell in (*cells, last):
        cell.result(DEADLINE)


def test_what_an_expression_shows_comes_before_its_value(remote: Kernel) -> None:
    shown: list[dict[str, Any]] = []
    code = "[print('said'), __import__('IPython.display').display.display(7), __import__('os').system('echo started')]"
    assert remote.run("", outputs={"y": code}, show=shown.append)["y"] == [None, None, 0]
    assert "".join(output.get("text", "") for output in shown if output.get("name") == "stdout") == "said\nstarted\n"
    assert [output["data"] for output in shown if output["output_type"] == "display_data"] == [{"text/plain": "7"}]
    assert remote.run("", outputs={"y": "input('which? ')"}, show=Asked(lambda: "answer")) == {"y": "answer"}
    with pytest.raises(RemoteError, match="division by zero") as caught:
        remote["1 / 0"]
    assert "ZeroDivisionError" in caught.value.traceback[-1]


def test_an_interrupt_of_a_value_is_never_too_early(remote: Kernel) -> None:
    remote.run("import time")
    for _ in range(3):
        waiting = remote.submit("", outputs={"y": "time.sleep(600)"})
        while remote.current is not waiting:
            pass
        waiting.cancel()  # perhaps before the kernel has begun
        assert isinstance(waiting.exception(DEADLINE), CellCancelled)
    with pytest.raises(CellTimeout):
        remote.run("", outputs={"y": "time.sleep(600)"}, timeout=0.1)
    assert remote["1 + 1"] == 2


def test_other_kernels_get_requests_that_they_know(remote: Kernel) -> None:
    file = remote.begin().process.folder / "connection.json"
    attached = tfkernels.attach(file, f"attached-{remote.name}")
    try:
        with messages_logged() as lines:
            attached["x"] = 5
        assert any("execute_request" in line for line in lines)
        assert remote["x"] == 5
    finally:
        attached.shutdown()
