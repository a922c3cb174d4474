"""The catalogue's maker, on one small release."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from catalogue_builder import __main__ as making
from catalogue_builder import page
from catalogue_builder import verify as verification
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.gpu import cuda


def test_catalogue_builder_writes_gpu_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = (cuda.OVERLAYS / "2.15.1.txt").read_text(encoding="utf-8")
    monkeypatch.setattr(cuda, "OVERLAYS", tmp_path)
    monkeypatch.setattr(page, "FILE", tmp_path / "page.md")
    for content in (stored, "kept"):  # the second time there is one
        with pytest.raises(typer.Exit) as end:
            making.main(only=["2.15.1"], resume=True, resolve_only=True)
        assert end.value.exit_code == 0
        assert (tmp_path / "2.15.1.txt").read_text(encoding="utf-8") == content
        (tmp_path / "2.15.1.txt").write_text("kept")


@pytest.mark.slow  # what maintainers run; installations and doctor run the same checks
def test_an_old_patch_release_really_works() -> None:
    """What `make catalogue` does to all of them, with a small one: Python 3.6, and a check that it is too old for."""
    release = catalogue.find("1.3.0")
    said: list[str] = []
    result = verification.verify(release, "3.6", said.append)
    assert said[0] == "import"
    assert result.ok, result.checks
    assert result.checks["data"] == "not in this release: tf.data came with 1.4"
    assert result.checks["kernel"] == result.checks["values"] == "ok"
    assert result.packages["numpy"].startswith("1.")
