"""SIGINT while a kernel handles requests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import SimpleNamespace

import pytest

from tfkernels.kernel_side.interrupt import Interrupts
from tfkernels.sigint import redirected


async def _run_code() -> None:
    """Stands for IPython's."""


def _shell() -> SimpleNamespace:
    return SimpleNamespace(run_code=_run_code, user_expressions=lambda expressions: expressions)


@pytest.fixture
def shell() -> Iterator[SimpleNamespace]:
    """Around the test, SIGINT is handled as outside of requests: ``deferred`` leaves its own handler to ipykernel."""
    before = signal.getsignal(signal.SIGINT)
    yield _shell()
    signal.signal(signal.SIGINT, before)


def test_an_early_interrupt_waits_for_the_users_code(shell: SimpleNamespace) -> None:
    with Interrupts(shell).deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            shell.user_expressions({})
        os.kill(os.getpid(), signal.SIGINT)  # comes too late, and is dropped


def test_a_subshell_sets_no_signal_handlers(shell: SimpleNamespace) -> None:
    with Interrupts(shell).deferred(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(shell.user_expressions, {"a": "1"}).result() == {"a": "1"}


@pytest.mark.parametrize("replace", [lambda: redirected(print), lambda: Interrupts(_shell()).deferred()])
def test_a_handler_in_c_stays(
    replace: Callable[[], AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python says ``None`` for one that was there before it, for example where R has started it."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with replace():
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) == handler
