"""What ``tfkernels demo`` says if the system refuses something."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import papermill
import pytest

from tfprovisioner.cli import demo
from tfprovisioner.errors import ProvisionError


@pytest.mark.parametrize(
    ("code", "refused", "expected"),
    [
        (errno.EAGAIN, None, "The notebook could not be run: [Errno {code}] {words}."),
        (errno.EACCES, "/usr/bin/python", "The notebook could not be run: [Errno {code}] {words}: '/usr/bin/python'."),
        (errno.EROFS, "{target}", "{target} cannot be written: {words}. Choose another folder with --output."),
    ],
)
def test_another_folder_is_advised_only_if_it_helps(
    code: int, refused: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "out.ipynb"
    words = os.strerror(code)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, words, *([refused.format(target=target)] if refused else []))

    made = SimpleNamespace(recipe=SimpleNamespace(tensorflow="1.15.5"), python_version="3.7.16")
    monkeypatch.setattr(demo, "install", lambda _: SimpleNamespace(state="already there", environment=made))
    monkeypatch.setattr(papermill, "execute_notebook", refuse)
    with pytest.raises(ProvisionError) as refusal:
        demo.run(target, print)
    assert str(refusal.value) == expected.format(target=target, code=code, words=words)
