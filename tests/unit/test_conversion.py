"""A conversion from its request to its report, with processes that only pretend to have a release."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.schemas import problems
from tests.unit.test_conversion_optimizer import ADAM, BROUGHT
from tfkernels.saved_models.saved_file import CustomObject, WrittenBy
from tfprovisioner.cli.app import app
from tfprovisioner.conversion import convert as module
from tfprovisioner.conversion import graph_route, keras_route, kernels, proof, report
from tfprovisioner.conversion.convert import convert
from tfprovisioner.conversion.process import Processes, StepFailed, TookTooLong
from tfprovisioner.conversion.request import Request
from tfprovisioner.conversion.result import Conversion
from tfprovisioner.errors import Unusable

_INPUT = {"name": "x", "shape": [None, 3], "dtype": "float32"}
_RECORD = {"config": {}, "weights": {}, "inputs": [_INPUT], "optimizer": ADAM}


class _Process:
    """Takes steps as a release does; ``faults`` by step are what goes wrong."""

    def __init__(self, release: str, faults: Mapping[str, Any]) -> None:
        self.release, self._faults, self.seconds = release, faults, 1.0
        self.steps: list[str] = []
        self.timeouts: list[float | None] = []
        self.record: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"TensorFlow {self.release}"

    def hand_over(self, step: str, forget: Callable[[], None], **given: Any) -> Any:
        forget()
        return self.call(step, **given)

    def call(self, step: str, timeout: float | None = None, **given: Any) -> Any:
        self.steps.append(step)
        self.timeouts.append(timeout)
        fault = self._faults.get(step)
        if isinstance(fault, Exception):
            raise fault
        if step == "run":
            hidden = given["inputs"]["x"] * 2
            if fault == "swaps":
                return {"sequence": hidden.T, "output": hidden}
            if fault == "time first":
                return {"sequence": hidden, "output": hidden}
            return {"hidden": hidden, "dense": hidden + (fault or 0), "output": hidden + (fault or 0)}
        if step == "rebuild":
            self.record = given["record"]
            transposed = ["sequence"] if fault else []
            return {"changes": ["norm: axis 1 for [1]"], "notes": [], "optimizer": BROUGHT, "transposed": transposed}
        if step == "save":
            Path(given["path"]).write_text("a model")
            return {"notes": []}
        return {"record": dict(_RECORD), "notes": []} if step == "load" else {"optimizer": ADAM}


class _Processes(Processes):
    kind = _Process

    def __init__(self, **faults: Mapping[str, Any]) -> None:
        super().__init__()
        self._faults = faults
        self.begun: list[tuple[str, str]] = []
        self.ended: list[_Process] = []

    def begin(self, wanted: Any, role: str, tell: Any) -> Any:
        self.begun.append((wanted.release, role))
        return self.kind(f"{wanted.release}.0", self._faults.get(role, self._faults.get(f"tf{wanted.release}", {})))

    def end(self, process: Any) -> None:
        self.ended.append(process)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    (tmp_path / "old.h5").write_text("a file")
    written_by = type("WrittenBy", (), {"tensorflow": ("1.12",), "__str__": lambda _: "TensorFlow 1.12"})()
    saved = {"format": "keras-h5", "written_by": written_by, "architecture": {}, "weights": {}, "custom_objects": ()}
    monkeypatch.setattr(module, "read", lambda path: type("Saved", (), saved)())
    monkeypatch.setattr(kernels, "is_ready", lambda wanted: wanted.release in ("1.15", "2.4"))
    return Request(tmp_path / "old.h5", "2.21", tmp_path / "new.keras")


def _convert(request: Request, **faults: Mapping[str, Any]) -> tuple[Conversion, _Processes]:
    processes = _Processes(**faults)
    return convert(request, processes, lambda release, text: None), processes


def test_an_equal_model_is_written_with_its_proof(request_: Request) -> None:
    result, processes = _convert(request_)
    assert (result.outcome, result.exit_code) == ("equal", 0)
    assert request_.output.read_text() == "a model"
    assert processes.begun == [("2.21", "new"), ("1.12", "old"), ("2.21", "proof")]
    assert [process.steps for process in processes.ended] == [
        ["load", "run", "run", "run"], ["rebuild", "save"], ["open", "run", "run", "run"],
    ]  # fmt: skip
    assert not {"weights", "optimizer"} & set(processes.ended[1].record), "arrays as large as the model are kept"
    assert sorted(path.name for path in request_.output.parent.iterdir()) == ["new.keras", "old.h5"]


def test_a_different_model_names_its_first_layer(request_: Request) -> None:
    result, _ = _convert(request_, proof={"run": 0.5})
    assert (result.outcome, result.exit_code) == ("different", 3)
    document = report.document(result)
    assert (document["first_different_layer"], document["largest_error"]) == ("dense", pytest.approx(0.5))
    assert "differs: first in dense" in report.text(result)
    assert problems("conversion", document) == []
    assert request_.output.exists()


def test_what_stands_in_the_way_is_named(request_: Request) -> None:
    refusal = StepFailed("Lambda inner/double holds byte code", "inner/double", "Add --custom-objects FILE.py")
    result, _ = _convert(request_, new={"rebuild": refusal})
    assert (result.outcome, result.exit_code) == ("not converted", 1)
    assert not request_.output.exists()
    text = report.text(result)
    assert all(part in text for part in ("inner/double", "holds byte code", "Add --custom-objects FILE.py"))
    assert report.document(result)["problem"]["layer"] == "inner/double"
    assert problems("conversion", report.document(result)) == []


def test_later_releases_are_asked_if_the_writers_cannot(request_: Request) -> None:
    result, _ = _convert(request_, **{"tf1.12": {"load": StepFailed("no such layer")}})
    assert result.source == "1.15.0"
    assert [attempt for attempt, _ in result.attempts] == ["1.12.3"]
    assert "not with 1.12.3  no such layer" in report.text(result)
    damaged = replace(request_, overwrite=True)
    result, _ = _convert(damaged, old={"load": StepFailed("damaged")})
    assert result.problem is not None
    assert result.problem.message == "damaged"
    assert [attempt for attempt, _ in result.attempts] == ["1.12.3", "1.15.5", "2.4.4"]


def test_no_other_release_is_asked_for_missing_classes(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: Any = module.read(request_.file)  # type: ignore[attr-defined]
    saved.custom_objects = (CustomObject("Scale", "layer", "inner/scale"),)
    monkeypatch.setattr(module, "read", lambda path: saved)
    result, processes = _convert(request_, old={"load": StepFailed("Unknown layer")})
    assert result.problem is not None
    assert [release for release, role in processes.begun if role == "old"] == ["1.12"]
    _, processes = _convert(replace(request_, custom_objects=request_.file), old={"load": StepFailed("damaged")})
    assert len([role for _, role in processes.begun if role == "old"]) == 3
    saved.custom_objects = (CustomObject("my_loss", "loss", "compile(loss=…)"),)  # a model is built without it
    _, processes = _convert(request_, old={"load": StepFailed("damaged")})
    assert len([role for _, role in processes.begun if role == "old"]) == 3


def test_classes_are_not_missing_in_a_graph(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: Any = module.read(request_.file)  # type: ignore[attr-defined]
    saved.custom_objects = (CustomObject("Scale", "layer", "inner/scale"),)
    processes = _Processes(old={"load": StepFailed("damaged")})
    way: Any = SimpleNamespace(load=lambda process, request, tell: process.call("load"))
    with pytest.raises(module.NotLoaded):
        module._loaded(way, saved, request_, processes, lambda release, text: None)
    assert len(processes.begun) == 3


def test_files_in_the_way_are_not_replaced(request_: Request) -> None:
    request_.output.write_text("precious")
    with pytest.raises(Unusable, match="--overwrite"):
        _convert(request_)
    assert request_.output.read_text() == "precious"
    result, _ = _convert(Request(request_.file, "2.21", request_.output, overwrite=True))
    assert result.outcome == "equal"
    with pytest.raises(Unusable, match="does not exist"):
        _convert(Request(request_.file.with_name("gone.h5"), "2.21", request_.output, overwrite=True))


def test_an_existing_checkpoint_is_not_replaced(request_: Request) -> None:
    index = request_.output.with_name("new.ckpt.index")
    index.write_text("precious")
    request_ = replace(request_, to="2.15")
    with pytest.raises(Unusable, match=r"new\.ckpt\.index: it exists.*--overwrite"):
        _convert(replace(request_, output=index.with_suffix("")))
    assert index.read_text() == "precious"


def test_files_beside_the_new_one_are_kept(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = {"checkpoint": "which is newest", "other": "precious"}
    for name, content in beside.items():
        request_.output.with_name(name).write_text(content)

    def call(self: _Process, step: str, timeout: float | None = None, **given: Any) -> Any:
        if step == "save":
            for name in names:
                Path(given["path"]).with_name(name).write_text("new")
        return answer(self, step, timeout, **given)

    answer = _Process.call
    monkeypatch.setattr(_Process, "call", call)
    names = ["checkpoint"]
    assert _convert(request_)[0].outcome == "equal"
    names.append("other")
    result, _ = _convert(replace(request_, output=request_.output.with_name("second.keras")))
    assert result.problem is not None
    assert "other: it exists" in result.problem.message
    assert {name: request_.output.with_name(name).read_text() for name in beside} == beside
    assert not request_.output.with_name("second.keras").exists()


def test_folder_that_is_no_model_is_never_replaced(request_: Request) -> None:
    folder = request_.output.with_name("models")
    folder.mkdir()
    (folder / "precious").write_text("precious")
    with pytest.raises(Unusable, match="no SavedModel"):
        _convert(replace(request_, output=folder, overwrite=True))
    (folder / "saved_model.pb").write_text("old")
    assert _convert(replace(request_, to="2.15", output=folder, overwrite=True))[0].outcome == "equal"
    assert folder.read_text() == "a model"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["models", "old.h5"]


def test_a_run_without_end_is_not_repeated(request_: Request) -> None:
    old = _Process("1.12.0", {"run": TookTooLong("1.12 took longer than 300 s for it.")})
    specs = [{**_INPUT, "shape": [None, None]}]
    with pytest.raises(TookTooLong):
        keras_route.run(old, "run", specs, request_, {})  # type: ignore[arg-type]
    assert (old.steps, old.timeouts) == (["run"], [300])


@pytest.mark.parametrize(
    ("values", "cause"),
    [({}, "no values"), ({"weights": {}}, "no values"), ({"output": np.full(3, np.nan)}, "output is NaN")],
)
def test_nothing_compared_is_no_proof(values: Any, cause: str) -> None:
    hidden = {"dense": np.ones(3)} if "output" in values else {}
    with pytest.raises(StepFailed, match=cause):
        proof.compared({"a batch": {**hidden, **values}}, {"a batch": {**hidden, **values}}, ("old", "new"))
    proof.compared({"a batch": {"output": np.array([np.nan, 1])}}, {"a batch": {"output": np.ones(2)}}, ("old", "new"))


def test_report_is_written_beside_the_new_file(request_: Request) -> None:
    result, _ = _convert(request_, proof={"run": 0.5})
    page = report.write(result, request_.output)
    assert page.name == "new.keras.report.html"
    content = page.read_text()
    assert "default-src 'none'" in content
    assert "axis 1 for [1]" in content
    document = json.loads(page.with_suffix(".json").read_text())
    assert document == json.loads(report.to_json(result))
    assert (document["optimizer"], document["outcome"]) == (
        "Adam continues after step 300, with its 2 slots",
        "different",
    )
    assert [part["passed"] for part in document["comparison"]["parts"]] == [True] * 3 + [False] * 6


@pytest.mark.parametrize(("as_graph", "said"), [(False, "add --as-graph"), (True, "leave out --as-graph")])
def test_both_choices_of_a_saved_model_are_named(
    request_: Request, monkeypatch: pytest.MonkeyPatch, as_graph: bool, said: str
) -> None:
    saved = {"format": "saved-model", "written_by": "", "architecture": {}, "weights": {}}
    monkeypatch.setattr(module, "read", lambda path: type("Saved", (), saved)())
    monkeypatch.setattr(module, "_loaded", lambda *_: (None, "2.11", (), 1.0))
    monkeypatch.setattr(module, "_put", lambda *_: None)
    for way in (keras_route, graph_route):
        monkeypatch.setattr(way, "bring", lambda *_: None)
    result, _ = _convert(replace(request_, as_graph=as_graph))
    assert said in result.notes[-1]


def test_a_filled_model_is_proved_by_its_file(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"dense/kernel": np.ones(3)}
    matched = [{"target": "dense/kernel", "source": "w", "how": ""}]
    answers = {
        "fill.fill": {"complete": True, "matched": matched, "remarks": [], "optimizer": None},
        "fill.save": {"choices": []},
        "fill.weights_of_both": {"old": weights, "new": {"dense/kernel": np.zeros(3)}},
    }  # fmt: skip

    def call(self: _Process, step: str, timeout: float | None = None, **given: Any) -> Any:
        self.steps.append(step)
        if step == "graphs.open_graph":
            raise StepFailed("it has no graph.")
        if step == "fill.save":
            Path(given["output"]).write_text("a model")
        return answers.get(step)

    monkeypatch.setattr(_Process, "call", call)
    written = {"format": "checkpoint-v2", "written_by": WrittenBy(), "weights": {}}
    monkeypatch.setattr(module, "read", lambda path: type("Saved", (), written)())
    (request_.file.parent / "model.py").write_text("")
    result, processes = _convert(replace(request_, model=f"{request_.file.parent}/model.py:build"))
    assert [process.steps for process in processes.ended][1:] == [
        ["fill.fill", "fill.save"], ["fill.open_saved", "fill.weights_of_both"],
    ]  # fmt: skip
    assert (result.outcome, processes.begun[-1]) == ("different", ("2.21", "proof"))
    assert "every weight in the new file" in report.text(result)


def test_sequences_are_compared_with_the_time_first(request_: Request) -> None:
    faults = {"old": {"run": "time first"}, "new": {"rebuild": "swaps"}, "proof": {"run": "swaps"}}
    result, _ = _convert(request_, **faults)
    assert result.outcome == "equal"
    assert result.proof is not None
    assert result.proof.layers == ("sequence", "output")
    result, _ = _convert(replace(request_, overwrite=True), **{**faults, "new": {}})
    assert report.document(result)["first_different_layer"] == "sequence"


def test_names_that_keras_3_refuses_are_refused_at_once(request_: Request) -> None:
    result, processes = _convert(replace(request_, output=request_.output.with_name("folder")))
    assert (result.outcome, processes.begun) == ("not converted", [])
    assert all(part in report.text(result) for part in (".weights.h5", "--as-graph"))
    assert _convert(replace(request_, to="2.11", output=request_.output.with_name("folder")))[0].outcome == "equal"


def test_a_terminated_command_leaves_nothing(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(keras_route, "load", load)
    monkeypatch.setattr(Processes, "begin", lambda *_: _Process("1.12", {}))
    monkeypatch.setattr(Processes, "end", lambda *_: None)
    handler = signal.getsignal(signal.SIGTERM)
    arguments = ["convert", str(request_.file), "--to", "2.21", "-o", str(request_.output)]
    ended = CliRunner().invoke(app, arguments)
    assert (ended.exit_code, "new.keras was not written" in ended.output) == (130, True)
    assert [path.name for path in request_.file.parent.iterdir()] == ["old.h5"]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_checkpoint_alone_is_refused_before_a_release_starts(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {"format": "checkpoint-v2", "written_by": "TensorFlow 2.11", "weights": {}}
    monkeypatch.setattr(module, "read", lambda path: type("Saved", (), written)())
    result, processes = _convert(request_)
    assert (result.outcome, processes.begun) == ("not converted", [])
    assert all(part in report.text(result) for part in ("old.h5.meta", "tf.Module", "--model FILE.py:FUNCTION"))


def test_hostile_names_do_nothing_in_the_page(request_: Request) -> None:
    refusal = StepFailed("<script>alert(1)</script>", "<b>layer</b>")
    result, _ = _convert(request_, new={"rebuild": refusal})
    assert "<script>" not in report.page(result)
    assert "<b>layer" not in report.page(result)


def test_layers_of_one_release_only_are_left_out(request_: Request) -> None:
    from tfprovisioner.conversion.proof import compared

    batch = np.zeros((1, 2), "float32")
    found = compared({"one": {"a": batch, "output": batch}}, {"one": {"relu": batch, "output": batch}}, ("old", "new"))
    assert (found.layers, found.left_out, found.passed) == (("output",), ("a", "relu"), True)


def test_layers_that_differ_in_masked_steps_are_named(request_: Request) -> None:
    class Masked(_Process):
        rest = 0.0

        def call(self, step: str, timeout: float | None = None, **given: Any) -> Any:
            found = super().call(step, timeout, **given)
            if step != "run":
                return found
            hidden = np.ones((1, 4, 2))
            if self.release == "2.21.0":
                hidden[:, 2:] = 0
                hidden[:, 0] += self.rest
            return {**found, "hidden": hidden, "each": hidden + 1}

    processes = _Processes()
    processes.kind = Masked
    result = convert(request_, processes, lambda release, text: None)
    assert result.outcome == "equal"
    document = report.document(result)
    assert (document["differing_inside"], document["first_different_layer"]) == (["hidden", "each"], None)
    assert document["largest_error"] == 0
    assert "hidden, each: values of masked steps differ" in report.text(result)
    Masked.rest = 0.5
    result = convert(replace(request_, overwrite=True), processes, lambda release, text: None)
    assert (result.outcome, report.document(result)["first_different_layer"]) == ("different", "hidden")
