"""The folder of a batch: a run's files are whole or not there, an earlier try leaves nothing, others' files stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.support.runs import PASSED, RUN, executed, packed
from tfprovisioner.batch import output_dir, tasks
from tfprovisioner.batch.outcomes import Failure
from tfprovisioner.batch.output_dir import OutputTaken
from tfprovisioner.batch.tasks import Run
from tfprovisioner.errors import ProvisionError

FAILED = replace(PASSED, state="failed", failure=Failure("ValueError", "no", 2))


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = output_dir.write(tmp_path, executed(FAILED))
    assert output_dir.read(tmp_path) == [written]
    assert (written.outcome, written.path, written.records) == (FAILED, tmp_path / "nb-tf1.ipynb", [])


def test_another_try_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    first = packed(tmp_path / "first", same="1", only_first="1")
    output_dir.write(out, executed(FAILED, values={"a" * 64: b"1", "b" * 64: b"2"}, files=first))
    second = packed(tmp_path / "second", same="2")
    output_dir.write(out, executed(PASSED, values={"b" * 64: b"2"}, files=second))
    assert _names(out) == {"mine.txt", "nb-tf1.ipynb", f"nb-tf1.values/{'b' * 64}", "nb-tf1.files/same"}
    assert (out / "nb-tf1.files" / "same").read_text() == "2"
    output_dir.write(out, executed(PASSED))
    assert sorted(path.name for path in out.iterdir()) == ["mine.txt", "nb-tf1.ipynb"]


def test_an_unwritable_output_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "nb-tf1.values").write_text("a file is in the way")
    with pytest.raises(ProvisionError, match="--resume"):
        output_dir.write(tmp_path, executed(PASSED, values={"a" * 64: b"1"}))
    assert output_dir.read(tmp_path) == []


@pytest.mark.parametrize("name", ["report.json", "other.ipynb", "broken.ipynb"])
def test_what_is_no_run_is_passed_over(tmp_path: Path, name: str) -> None:
    content = {"report.json": '{"runs": []}', "other.ipynb": nbformat.writes(new_notebook()), "broken.ipynb": "{"}
    (tmp_path / name).write_text(content[name])
    assert output_dir.read(tmp_path) == []


def test_fingerprints_cover_what_decides_the_result() -> None:
    def made(cell: str = "1", tags: tuple[str, ...] = (), outputs: bool = False, **options: Any) -> str:
        shown = [new_output("stream", text="1")] if outputs else []
        cells = [new_code_cell(cell, metadata={"tags": list(tags)}, outputs=shown)]
        run = replace(RUN, **options.pop("run", {}))
        given = {"kernel": {"name": "tf1", "recipe": "a"}, "inputs": None, **options}
        return tasks.fingerprint(nbformat.writes(new_notebook(cells=cells)), run=run, **given)

    same = [
        made(),
        made(outputs=True),
        made(run={"parameters": {"lr": 0.5, "n": 1}}),
        made(run={"source": "b/nb.ipynb"}),
    ]
    other = [
        made("2"), made(tags=("parameters",)), made(run={"parameters": {"n": 2}}), made(inputs=b"1"),
        made(kernel={"name": "tf1", "recipe": "b"}),
    ]  # fmt: skip
    assert len(set(same)) == 1
    assert len({*same, *other}) == 1 + len(other)


def test_a_run_keeps_its_case_when_written(tmp_path: Path) -> None:
    output_dir.write(tmp_path, executed(PASSED))
    (found,) = output_dir.read(tmp_path)
    assert found.outcome.run.case == RUN.case  # nbformat sorts what is in the metadata


def test_plain_papermills_outputs_are_read(tmp_path: Path) -> None:
    error = new_output("error", ename="ValueError", evalue="no", traceback=["…"])
    done = {"start_time": "2026-01-01T00:00:00", "duration": 2.5, "exception": True, "input_path": "nb.ipynb"}
    metadata = {"papermill": {**done, "parameters": {"n": 1}}, "kernelspec": {"name": "tf1", "display_name": "x"}}
    cells = [new_code_cell("1"), new_code_cell("2", outputs=[error])]
    nbformat.write(new_notebook(cells=cells, metadata=metadata), tmp_path / "done.ipynb")
    (found,) = output_dir.read(tmp_path)
    assert found.outcome.run == Run("done", "nb.ipynb", "tf1", {"n": 1})
    assert found.outcome.failure is not None
    assert (found.outcome.failure.kind, found.outcome.failure.cell, found.outcome.seconds) == ("ValueError", 1, 2.5)


def test_two_batches_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with output_dir.opened(str(tmp_path / "out"), False, []) as first:
        (first.folder / "x").touch()
        with pytest.raises(OutputTaken, match="Another batch writes"), output_dir.opened(str(first.folder), True, []):
            pass
    with output_dir.opened(str(tmp_path / "out"), True, []):
        pass  # the first has ended


def test_a_failed_batch_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError), output_dir.opened(str(tmp_path / "new"), False, []):
        raise ProvisionError("no scheduler answers")
    assert list(tmp_path.iterdir()) == []
