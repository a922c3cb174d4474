"""Kernels of this process by name."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tfkernels
from tests.support.waiting import DEADLINE
from tfkernels.client import kernels_by_name, kernelspecs
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, UnknownKernel
from tfkernels.notebook import tfkernels_magic


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads change often, and no kernel is known."""
    monkeypatch.setattr(kernels_by_name, "known", {})
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_eight_threads_get_one_kernel_object() -> None:
    for _ in range(20):
        kernels_by_name.known.clear()
        together = threading.Barrier(8)
        got: list[Kernel] = []

        def get(together: threading.Barrier = together, got: list[Kernel] = got) -> None:
            together.wait(DEADLINE)
            got.append(tfkernels.kernel("python3"))

        threads = [threading.Thread(target=get) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert len(got) == 8
        assert len(set(map(id, got))) == 1


def test_an_input_that_cannot_be_passed_starts_no_kernel() -> None:
    """Nor does one that is for several."""
    kernel = tfkernels.kernel("python3")
    bad = {"good": 1, "bad": [object()]}
    with pytest.raises(ExchangeError, match=r"bad\[0\]"):
        kernel.run("pass", inputs=bad)
    with pytest.raises(ExchangeError, match=r"bad\[0\]"):
        kernel.submit("pass", inputs=bad)
    with pytest.raises(ExchangeError, match=r"bad\[0\]"):
        tfkernels.each([kernel], "pass", inputs=bad)
    assert not kernel.started


def test_an_unknown_name_leaves_nothing_in_the_registry() -> None:
    with pytest.raises(UnknownKernel, match="no kernel 'nonsense'"):
        tfkernels.kernel("nonsense")
    assert not kernels_by_name.known
    assert not kernels_by_name.running()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tf1", "Install TensorFlow 1 with: tfkernels install tf1"),
        (
            "tf2.99",
            "If there is such a release (`tfkernels releases` shows them), install it with: tfkernels install 2.99",
        ),
        ("tf3", "Install a release of TensorFlow with: tfkernels install RELEASE"),
    ],
)
def test_advice_for_unknown_names_promises_no_release(
    name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernelspecs, "folders", lambda: [tmp_path])
    monkeypatch.delitem(sys.modules, "tfkernels.notebook.magics", raising=False)  # as where there are no magics
    with pytest.raises(UnknownKernel) as refused:
        tfkernels.kernel(name)
    assert str(refused.value).endswith(advice)


def test_the_table_of_a_kernel_that_has_not_answered_yet() -> None:
    attached: Any = SimpleNamespace(title="lab", started=True, state="starting", current=None, waiting=[], pid=None)
    kernels_by_name.known["other"] = attached
    assert tfkernels_magic.table({"other"}).splitlines()[1].split() == ["other", "lab", "starting"], (
        "and no memory of this process"
    )
