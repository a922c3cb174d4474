"""The report as files, as text and as a command: complete, harmless, and replacing nothing but itself."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from tests.support.reports import HOSTILE, batch, every_release, usual
from tfkernels.recording import FORMAT, TYPE, VALUE
from tfkernels.transfer.encoder import ValueMessage
from tfprovisioner.batch import report
from tfprovisioner.batch.outcomes import OUTCOME, Failure
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.report import documents
from tfprovisioner.cli.app import app
from tfprovisioner.notebook_metadata.notebook_file import KEY

FILES = ["junit.xml", "report.html", "report.json"]
STRANGE = f"{HOSTILE}\x1b[31m\x00\u202e\ud800ä{'long/' * 400}"


def hostile(folder: Path) -> list[Found]:
    """Two runs in which every text means harm."""
    failure = Failure(STRANGE, STRANGE, 1, f"{STRANGE}\n{STRANGE}")
    values = {STRANGE: {STRANGE: STRANGE}, "x": STRANGE, "]]>": np.ones(3)}
    others = {STRANGE: {STRANGE: STRANGE + "x"}, "x": "y", "]]>": np.zeros(3)}
    found = batch(folder, {"tf1": values, "tf2": others}, sources=("train.ipynb",), failing={"tf2": failure})
    return [
        replace(
            item,
            outcome=replace(
                item.outcome,
                host=STRANGE,
                tensorflow=STRANGE,
                python=STRANGE,
                started=STRANGE,
                run=replace(item.outcome.run, name=STRANGE, source=STRANGE, parameters={STRANGE: STRANGE}),
            ),
        )
        for item in found
    ]


def notebook(folder: Path, found: Found, **values: Any) -> None:
    """An executed notebook, as a batch leaves it."""
    import base64
    import hashlib

    cells = []
    for name, value in values.items():
        content = bytes(ValueMessage({VALUE: value}).to_bytes())
        entry = {
            "format": FORMAT, "name": name, "rtol": None, "atol": None, "summary": "", "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), "value": base64.b64encode(content).decode(),
        }  # fmt: skip
        output = nbformat.v4.new_output("display_data", {TYPE: entry, "text/plain": name})
        cells.append(new_code_cell(f"record({name!r})", outputs=[output]))
    made = new_notebook(cells=cells, metadata={KEY: {OUTCOME: found.outcome.to_json()}})
    nbformat.write(made, folder / f"{found.outcome.run.name}.ipynb")


def tfkernels(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_document_has_every_fact(tmp_path: Path) -> None:
    made = report.make(usual(tmp_path / "runs"), tmp_path / "report", atol=1e-9)
    found = json.loads(json.dumps(made.document, allow_nan=False))
    assert (found["format"], found["version"], found["exit_code"], found["passed"]) == ("tfkernels-report", 1, 1, False)
    assert (found["baseline"], found["tolerances"]) == ("tf1", {"atol": 1e-9})
    assert [kernel["tensorflow"] for kernel in found["kernels"]] == ["1.15.5", "2.4.4", "2.11.1", "2.21.0"]
    run = next(run for run in found["runs"] if run["name"] == "train-tf2")
    assert run["output"] == "../runs/train-tf2.ipynb"
    assert run["failure"]["source"] == "cell_3 = 3"
    assert (run["state"], run["failure"]["cell"], run["host"], run["seconds"]) == ("failed", 3, "mill", 3.25)
    assert [record["name"] for record in run["records"]] == ["loss"]
    resize = [one for one in found["comparisons"] if one["name"] == "resize"]
    assert [(one["side"], one["verdict"], one["passed"]) for one in resize] == [
        ("tf2.4", "equal", True), ("tf2.11", "different", False), ("tf2", "different", False),
    ]  # fmt: skip
    assert (
        resize[1]["largest_error"] == resize[1]["comparison"]["parts"][0]["statistics"]["max_absolute_error"]["error"]
    )
    lacking = next(one for one in found["comparisons"] if one["verdict"] == "not compared")
    assert (lacking["name"], lacking["passed"], lacking["comparison"]) == ("accuracy", None, None)
    assert str(tmp_path) not in json.dumps(found)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("nb/train.ipynb", "nb/train.ipynb"),
        ("/home/me/train.ipynb", "train.ipynb"),
        ("https://me:secret@host/nb.ipynb?token=secret", "https://host/nb.ipynb"),
        ("s3://bucket/nb.ipynb", "s3://bucket/nb.ipynb"),
    ],
)
def test_sources_tell_no_folders_and_no_secrets(tmp_path: Path, source: str, shown: str) -> None:
    (found,) = batch(tmp_path, {"tf1": {}}, sources=(source,))
    made = report.make([found], tmp_path / "out")
    written = report.write(made, tmp_path / "out")
    assert json.loads(written["report.json"].read_text())["runs"][0]["source"] == shown
    for path in written.values():
        assert "secret" not in path.read_text()
        assert "/home/me" not in path.read_text()


def test_junit_has_every_run_and_verdict(tmp_path: Path) -> None:
    made = report.make(usual(tmp_path), tmp_path)
    root = ElementTree.parse(report.write(made, tmp_path)["junit.xml"]).getroot()  # noqa: S314 (our own file)
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["ops.ipynb", "train.ipynb"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("32", "12", "0")
    tests = {test.get("name"): test for test in suites["train.ipynb"]}
    failure = tests["tf2: runs"].find("failure")
    assert failure is not None
    assert failure.get("message") == "cell 4: AttributeError: module 'tensorflow' has no attribute 'Session'"
    assert (
        failure.text
        == "cell_3 = 3\n\nTraceback (most recent call last)\n  Cell In[4], line 1\nAttributeError: no 'Session'"
    )
    assert float(tests["tf1: runs"].get("time", "")) == 3.25
    assert tests["tf2: accuracy as in tf1"].find("skipped") is not None
    resize = next(test for test in suites["ops.ipynb"] if test.get("name") == "tf2.11: resize as in tf1")
    different = resize.find("failure")
    assert different is not None
    assert (different.get("message") or "").startswith("different: tf1 and tf2.11 differ in 3,071 of 6,144")
    assert "absolute error" in (different.text or "")


def test_text_fits_a_terminal(tmp_path: Path) -> None:
    said = report.text(report.make(usual(tmp_path), tmp_path))
    assert said.startswith("1 of 8 runs failed.\n4 of 8 results differ from tf1, 1 not compared on every kernel.\n")
    rows = [re.split(r"\s{2,}", line.strip()) for line in said.splitlines()]
    assert ["resize", "float32 (2, 32, 32, 3)", "equal", "DIFFERENT 0.329", "DIFFERENT 0.329"] in rows
    assert ["loss", "0.69314", "DIFFERENT 0.00897", "DIFFERENT 0.00897", "DIFFERENT 0.00897"] in rows
    assert "FAILED train-tf2 in cell 4: AttributeError: module 'tensorflow' has no attribute 'Session'" in said
    assert "DIFFERENT resize of ops.ipynb in tf2.11, tf2: tf1 and tf2.11 differ in" in said
    many = batch(tmp_path, {f"tf2.{minor}": {"x": minor, STRANGE: STRANGE} for minor in range(12)})
    for text in (said, report.text(report.make(many, tmp_path)), report.text(report.make(hostile(tmp_path), tmp_path))):
        assert all(line.isprintable() and len(line) <= 120 for line in text.split("\n"))


@pytest.mark.parametrize("width", [80, 120])
def test_many_kernels_are_one_line_per_result(tmp_path: Path, width: int) -> None:
    made = report.make(every_release(tmp_path), tmp_path, baseline="tf1.15")
    said = report.text(made, width).splitlines()
    assert [line.split(maxsplit=1) for line in said if line.startswith("  ")][:5] == [
        ["matmul", "equal 1.0-2.21"],
        ["resize", "equal 1.0-1.14; DIFFERENT 2.0-2.21: 0.5"],
        ["grown", "equal 1.0-1.14; DIFFERENT 2.0-2.21: up to 0.828"],
        ["near", "equal 1.0-1.4, 1.7-2.21; close 1.5, 1.6: 1.19e-07"],
        ["LSTM", "MISSING 1.0-1.3; equal 1.4-2.21"],
    ]
    assert "parity_matrix.ipynb  passed 1.0-2.6, 2.8-2.21: 3.2 s; FAILED 2.7: 3.2 s" in said
    assert "MISSING LSTM of parity_matrix.ipynb in 1.0-1.3: only tf1.15 recorded it" in said
    assert sum("matmul" in line for line in said) == 1
    assert max(map(len, said)) <= width


def test_text_is_as_wide_as_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for found in batch(tmp_path / "in", {kernel: {} for kernel in ("tf1", "tf2.4", "tf2.11", "tf2")}):
        (tmp_path / "runs").mkdir(exist_ok=True)
        notebook(tmp_path / "runs", found, loss="x" * 20)
    for width, line in (("80", "loss equal tf2.4-tf2"), ("200", f"loss {'x' * 20!r} equal equal equal")):
        monkeypatch.setenv("COLUMNS", width)
        assert line in [" ".join(each.split()) for each in tfkernels(tmp_path / "runs")[1].splitlines()]


def test_page_describes_equal_bytes_once(tmp_path: Path) -> None:
    made = report.make(every_release(tmp_path), tmp_path, baseline="tf1.15")
    page = documents.page(made, tmp_path)
    (resize,) = re.findall(
        r'<details class="result" id="r1".*?</details>\n(?=<details class="result")', page, re.DOTALL
    )
    assert re.findall(r"<h4>(\S+)", resize) == ["1.0-1.14", "2.0-2.21"]
    assert "The same values, bit for bit, in all 22; here those of tf2.0." in resize
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r' id="([^"]+)"', page))
    assert len([link for link in links if link.startswith("r1-")]) == 37


def test_hostile_values_are_harmless_in_documents(tmp_path: Path) -> None:
    written = report.write(report.make(hostile(tmp_path), tmp_path), tmp_path)
    shown = written["report.html"].read_text(encoding="utf-8")
    assert not re.search(r"<(script|img(?! alt))", shown.replace('<img alt="" src="data:image/png', ""))
    assert "&lt;script&gt;" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", shown)
    assert "Content-Security-Policy\" content=\"default-src 'none'" in shown
    ElementTree.parse(written["junit.xml"])  # noqa: S314 (our own file)
    json.loads(written["report.json"].read_text(encoding="utf-8"))


def test_large_pages_are_cut_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.RandomState(0)
    values = {f"layer_{place:03}": random.normal(size=(8, 8)).astype("float32") for place in range(200)}
    found = batch(
        tmp_path,
        {f"tf2.{k}": {name: value + np.float32(k) for name, value in values.items()} for k in range(4)},
    )
    made = report.make(found, tmp_path)
    text = documents.page(made, tmp_path)
    assert len(text) < 5_000_000
    monkeypatch.setattr(documents, "MAX_VIEWS_SIZE", 100_000)
    less = documents.page(made, tmp_path)
    assert len(less) < 1_000_000
    assert "here they would make the page too large" in less


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    made = report.make(batch(tmp_path / "runs", {"tf1": {"x": 1}, "tf2": {"x": 1}}), folder)
    report.write(made, folder)
    report.write(made, folder)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for name in FILES:
        mine = tmp_path / f"mine-{name}"
        mine.mkdir()
        (mine / name).write_text("precious", encoding="utf-8")
        with pytest.raises(report.NotOurs, match=name):
            report.write(made, mine)
        assert [path.read_text(encoding="utf-8") for path in mine.iterdir()] == ["precious"]


def test_command_on_an_output(tmp_path: Path) -> None:
    for found, value in zip(batch(tmp_path / "in", {"tf1": {}, "tf2": {}}), (1.0, 1.001), strict=True):
        (tmp_path / "runs").mkdir(exist_ok=True)
        notebook(tmp_path / "runs", found, loss=value)
    code, said, _ = tfkernels(tmp_path / "runs")
    assert code == 3
    assert "DIFFERENT 0.001" in said
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(
        [*FILES, "train-tf1.ipynb", "train-tf2.ipynb"]
    )
    code, said, _ = tfkernels(tmp_path / "runs", "--rtol", "0.01", "--json", "-o", tmp_path / "other")
    assert code == 0
    assert json.loads(said)["comparisons"][0]["verdict"] == "close"
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == FILES
    assert tfkernels(tmp_path / "runs", "--baseline", "tf2")[0] == 3
    code, said, _ = tfkernels(tmp_path / "runs", "--json")
    assert json.loads(said)["baseline"] == "tf2", "as before"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "Directory 'nowhere' does not exist"),
        (["empty"], "no executed notebooks"),
        (["runs", "--baseline", "tf9"], "Cannot compare with tf9: no run is on this kernel"),
        (["runs", "--rtol", "-1"], "--rtol"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, monkeypatch: Any, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs").mkdir()
    notebook(tmp_path / "runs", *batch(tmp_path / "in", {"tf1": {}}))
    code, said, complaint = tfkernels(*arguments)
    assert (code, said) == (2, "")
    assert message in " ".join(complaint.replace("│", " ").split())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["train-tf1.ipynb"]


def test_foreign_files_in_the_folder_are_ignored(tmp_path: Path) -> None:
    (found,) = batch(tmp_path / "in", {"tf1": {}})
    (tmp_path / "runs").mkdir()
    notebook(tmp_path / "runs", found, loss=1)
    wrongs: list[dict[str, Any]] = [{"seconds": "long"}, {"host": 5}, {"run": {"name": 1, "source": [], "kernel": ""}}]
    for number, wrong in enumerate(wrongs):
        broken = new_notebook(metadata={KEY: {OUTCOME: {**found.outcome.to_json(), **wrong}}})
        nbformat.write(broken, tmp_path / "runs" / f"broken-{number}.ipynb")
    (tmp_path / "runs" / "notes.json").write_text("[]", encoding="utf-8")
    (tmp_path / "runs" / "half.ipynb").write_text('{"cells": [', encoding="utf-8")
    code, said, _ = tfkernels(tmp_path / "runs", "--json")
    assert code == 0
    assert [run["name"] for run in json.loads(said)["runs"]] == ["train-tf1"]
