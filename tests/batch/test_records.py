"""What is recorded in notebooks and scripts of any Python, and read again: the same values, or the reason why not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

import tfkernels
from tests.support.notebooks import run_cells, text
from tfkernels import recording
from tfkernels.client import kernelspecs
from tfkernels.errors import ExchangeError, NotPortable, UsageError
from tfkernels.protocol import MESSAGE_FORMAT
from tfkernels.transfer.decoder import from_bytes
from tfkernels.transfer.encoder import ValueMessage
from tfprovisioner.batch import recorded
from tfprovisioner.batch.execution import execute
from tfprovisioner.batch.outcomes import Executed
from tfprovisioner.batch.recorded import Record, Unreadable
from tfprovisioner.batch.tasks import Run, Task

LARGE = "import numpy as np; big = np.arange(100_000, dtype='f4')"


def _run(kernel: str, *cells: str, **options: Any) -> Executed:
    notebook = nbformat.writes(new_notebook(cells=[new_code_cell(cell) for cell in cells]))
    task = Task(Run("nb", "nb.ipynb", kernel), notebook, "", **options)
    executed = execute(task, kernelspecs.get(kernel), lambda _: None, threading.Event())
    assert executed.outcome.passed, executed.outcome
    return executed


def _found(executed: Executed, folder: Path) -> dict[str, Record]:
    for digest, content in executed.values.items():
        (folder / digest).write_bytes(content)
    return {each.name: each for each in recorded.of_notebook(nbformat.reads(executed.notebook, as_version=4), folder)}


@pytest.mark.parametrize("kernel", ["tf1", "tf2"])
def test_small_records_are_inline_large_ones_are_files(installed: object, kernel: str, tmp_path: Path) -> None:
    first = "import tfkernels; tfkernels.record('loss', np.float32(0.5), rtol=1e-3)"
    executed = _run(kernel, LARGE, first, "tfkernels.record('big', big); tfkernels.record('loss', 0.25)")
    found = _found(executed, tmp_path)
    assert list(found) == ["big", "loss"], "the same name again replaces what was recorded before"
    assert (found["loss"].value(), found["loss"].rtol, found["loss"].summary) == (0.25, None, "0.25")
    assert np.array_equal(found["big"].value(), np.arange(100_000, dtype="f4"))
    assert found["big"].summary == "float32 (100000,)"
    assert list(executed.values) == [found["big"].sha256]
    shown = text(nbformat.reads(executed.notebook, as_version=4).cells[-1].outputs)
    assert "recorded big: float32 (100000,)" in shown


def test_records_of_other_kernels_reach_the_notebook(installed: object, tmp_path: Path) -> None:
    cell = f"%%tf1\nimport tfkernels\n{LARGE}\ntfkernels.record('there', big)"
    found = _found(_run("tf2", cell), tmp_path)
    assert found["there"].value()[-1] == 99_999


def test_large_records_are_inline_without_a_folder(installed: object, tmp_path: Path) -> None:
    executed = _run("tf1", "import tfkernels", LARGE, "tfkernels.record('big', big)", inline=True)
    assert executed.values == {}
    assert _found(executed, tmp_path)["big"].value().size == 100_000


def test_outside_of_a_batch_the_value_is_shown(installed: object) -> None:
    *_, shown = run_cells("tf1", "import tfkernels", "tfkernels.record('loss', 0.25)")
    assert text(shown) == "0.25"


def test_a_killed_script_keeps_earlier_records(tmp_path: Path) -> None:
    script = "import tfkernels; tfkernels.record('x', 1)"
    subprocess.run([sys.executable, "-c", script], env={**os.environ, recording.FOLDER: str(tmp_path)}, check=True)
    with (tmp_path / recording.LINES).open("a") as lines:
        lines.write('{"format": 1, "name": "y"')
    assert [each.name for each in recorded.of_script(tmp_path)] == ["x"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(recording.FOLDER, str(tmp_path))
    return tmp_path


def test_a_value_that_cannot_travel_records_nothing(folder: Path) -> None:
    with pytest.raises(NotPortable, match=r"cannot record 'weights': value\[1\]"):
        tfkernels.record("weights", [1, object()])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options"),
    [("", {}), (None, {}), ("x", {"rtol": -1}), ("x", {"atol": "1"}), ("x", {"atol": float("nan")})],
)
def test_names_and_tolerances_that_are_none(folder: Path, name: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        tfkernels.record(name, 1, **options)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(recording.FOLDER, str(tmp_path / "gone"))
    with pytest.raises(ExchangeError, match=r"Cannot record .*: No such file"):
        tfkernels.record("x", 1)


def test_changed_and_lost_records_are_reported(folder: Path) -> None:
    tfkernels.record("big", np.arange(100_000))
    (record,) = recorded.of_script(folder)
    content = record.file.read_bytes()
    record.file.write_bytes(content[:-1] + b"x")
    with pytest.raises(Unreadable, match="it was changed after it was recorded"):
        record.value()
    record.file.unlink()
    with pytest.raises(Unreadable, match=r"Cannot read the value of .big.: No such file"):
        record.value()


_ENTRY = {"format": 1, "name": "x", "summary": "", "sha256": "00", "size": 1, "rtol": None, "atol": None, "value": None}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        3,
        "text",
        [],
        {},
        {**_ENTRY, "format": 2},
        {**_ENTRY, "sha256": "../../etc/passwd"},
        {**_ENTRY, "size": "many"},
        pytest.param("[" * 100_000 + "]" * 100_000, id="too deep"),
    ],
)
def test_what_is_no_record_is_left_out(entry: Any, tmp_path: Path) -> None:
    assert len(_in_a_notebook(_ENTRY, tmp_path)) == 1
    assert _in_a_notebook(entry, tmp_path) == []


def _in_a_notebook(entry: Any, folder: Path) -> list[Record]:
    output = new_output("display_data", data={recording.TYPE: entry})
    return recorded.of_notebook(new_notebook(cells=[new_code_cell("", outputs=[output])]), folder)


@settings(max_examples=300)
@given(st.data())
def test_arbitrary_bytes_never_crash_the_reader(data: st.DataObject) -> None:
    good = bytes(ValueMessage({"value": {"a": np.arange(40.0), "b": ["x", b"y", 3]}}).to_bytes())
    position = data.draw(st.integers(0, len(good) - 1))
    bad = good[:position] + data.draw(st.binary(max_size=8)) + good[position + data.draw(st.integers(0, 8)) :]
    with contextlib.suppress(ExchangeError):
        from_bytes(bad)


def test_a_skeleton_deeper_than_the_stack_is_damage() -> None:
    skeleton = b'{"forms": [], "values": {"value": ' + b'["list", ' * 100_000 + b"1" + b"]" * 100_000 + b"}}"
    header = f"tfkernels values {MESSAGE_FORMAT} 0 {len(skeleton)}".ljust(63).encode() + b"\n"
    with pytest.raises(ExchangeError, match="damaged"):
        from_bytes(header + skeleton)


def test_a_value_of_another_format_says_so() -> None:
    content = bytes(ValueMessage({"value": 1}).to_bytes())
    with pytest.raises(ExchangeError, match="recorded in format 9,"):
        from_bytes(content.replace(b"values %d" % MESSAGE_FORMAT, b"values 9", 1))


def test_arrays_that_were_read_are_writable_and_aligned(folder: Path) -> None:
    tfkernels.record("x", {"small": np.arange(3), "large": np.arange(200_000.0)})
    value = recorded.of_script(folder)[0].value()
    value["large"][0] = 7
    assert value["large"].ctypes.data % 64 == 0
    assert json.loads((folder / recording.LINES).read_text())["summary"] == "dict of 2"
