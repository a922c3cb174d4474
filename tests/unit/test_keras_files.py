"""Files of Keras 3 without a second copy of the weights in memory."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tfkernels.conversion.target.keras_files import through_disk


def test_keras_goes_through_a_file_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("keras", "keras.src", "keras.src.saving", "keras.src.saving.saving_lib"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    library = sys.modules["keras.src.saving.saving_lib"]
    with through_disk():
        assert not hasattr(library, "is_memory_sufficient"), "a release that knows only one way"
    before = library.is_memory_sufficient = lambda _model: True  # type: ignore[attr-defined]
    with through_disk():
        assert not library.is_memory_sufficient(None)
    assert library.is_memory_sufficient is before
