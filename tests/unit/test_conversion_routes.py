"""The way that a conversion takes, and the name of its result, by the file's format and the options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfprovisioner.conversion import convert as module
from tfprovisioner.conversion import fill_route, graph_route, keras_route
from tfprovisioner.conversion.request import Request


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "old.h5").write_text("a file")
    return Request(tmp_path / "old.h5", "2.21", tmp_path / "new.keras")


@pytest.mark.parametrize(
    ("format_", "model", "package", "expected"),
    [
        ("keras-h5", None, "", keras_route),
        ("keras-archive-weights", "model.py:build", "", keras_route),
        ("checkpoint-v2", "model.py:build", "tf.keras", keras_route),
        ("checkpoint-v2", "model.json", "", keras_route),
        ("checkpoint-v2", "model.py:build", "", fill_route),
        ("checkpoint-v1", None, "", graph_route),
        ("saved-model", None, "", graph_route),
        ("frozen-graph", "model.py:build", "", fill_route),
    ],
)
def test_the_way_depends_on_the_format_and_the_model(
    request_: Request, format_: str, model: str | None, package: str, expected: object
) -> None:
    written_by = type("WrittenBy", (), {"package": package})()
    saved = type("Saved", (), {"format": format_, "written_by": written_by, "architecture": None})()
    (request_.file.parent / "old.h5.meta").write_text("a graph")
    assert module.route(saved, replace(request_, model=model)) is expected


@pytest.mark.parametrize(
    ("format_", "architecture", "options", "name"),
    [
        ("keras-h5", {}, {}, "old-2.21.0.keras"),
        ("keras-h5", {}, {"to": "2.11"}, "old-2.11.1.h5"),
        ("saved-model", {}, {}, "old-2.21.0.keras"),
        ("saved-model", {}, {"as_graph": True}, "old-2.21.0"),
        ("saved-model", None, {}, "old-2.21.0"),
        ("checkpoint-v2", None, {"model": "model.json"}, "old-2.21.0.keras"),
        ("checkpoint-v2", None, {"model": "model.py:build"}, "old-2.21.0"),
    ],
)
def test_only_a_keras_model_gets_an_ending(
    request_: Request, monkeypatch: pytest.MonkeyPatch, format_: str, architecture: Any, options: Any, name: str
) -> None:
    written_by = type("WrittenBy", (), {"package": ""})()
    saved = {"format": format_, "architecture": architecture, "written_by": written_by}
    monkeypatch.setattr(module, "read", lambda path: type("Saved", (), saved)())
    assert module.default_output(replace(request_, **options)) == Path(name)
