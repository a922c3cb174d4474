"""Requests of another tfkernels, or damaged ones: a kernel says what is wrong, does nothing, and goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.waiting import DEADLINE
from tfkernels import protocol
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError

MINE = protocol.REQUEST_FORMAT
OTHERS = [MINE - 1, MINE + 1]


def ask(remote: Kernel, code: str, along: Any = None) -> dict[str, Any]:
    """The reply to a request that is made by hand. Without anything along it is one of any other client."""
    connection = remote.begin()
    connection.ready.wait(DEADLINE)
    content = {
        "code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False,
        "stop_on_error": False,
    }  # fmt: skip
    metadata = {} if along is None else {"tfkernels": along}
    return connection.request(connection.message("execute_request", content, metadata), 60)


def whole(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "format": protocol.REQUEST_FORMAT, "kernel": "x", "magic": "%%x", "inputs": None, "outputs": {},
        "segment": None, "reuse_input_segments": [],
    }  # fmt: skip
    return {**request, **changes}


def without(*names: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in whole(**changes).items() if name not in names}


def test_a_request_made_by_hand(remote: Kernel) -> None:
    assert ask(remote, "made = 1")["status"] == "ok"
    assert ask(remote, "made += 1", whole())["status"] == "ok"
    assert remote["made"] == 2


@pytest.mark.parametrize(
    ("along", "says"),
    [
        pytest.param(without("format"), "writes format None and this one reads format 2.", id="before there was one"),
        pytest.param(whole(format=3), "writes format 3 and this one reads format 2.", id="newer"),
        pytest.param({"format": 3, "something": "else"}, "writes format 3 and", id="newer, and quite different"),
        pytest.param("nonsense", "writes format None and", id="no request at all"),
        pytest.param({"outputs": {"y": "made"}}, "writes format None and", id="outputs only"),
        pytest.param(
            without("reuse_input_segments", outputs={"y": "made"}),
            "has no reuse_input_segments",
            id="no segments to reuse",
        ),
        pytest.param(without("kernel", "segment"), "damaged: it has no kernel, segment", id="no kernel"),
    ],
)
def test_malformed_requests_are_answered_and_not_run(remote: Kernel, along: Any, says: str) -> None:
    remote.run("made = 1")
    reply = ask(remote, "made = 2", along)
    assert (reply["status"], reply["ename"], reply["exchange_failed"]) == ("error", "ExchangeError", True)
    assert says in reply["evalue"]
    assert remote["made"] == 1


@pytest.mark.parametrize("other", OTHERS, ids=["older", "newer"])
def test_a_notebook_with_another_tfkernels(remote: Kernel, other: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remote["a"] = 0
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "REQUEST_FORMAT", other)
        for exchange in (lambda: remote["a"], lambda: remote.run("a = 1"), lambda: remote.run("", inputs={"a": 1})):
            with pytest.raises(
                ExchangeError, match=rf"writes format {other} and this one reads format {MINE}\..*install"
            ):
                exchange()
    assert remote["a"] == 0


@pytest.mark.parametrize("other", OTHERS, ids=["older", "newer"])
def test_a_kernel_with_another_tfkernels(remote: Kernel, other: int) -> None:
    remote["a"] = 0
    remote.run(f"from tfkernels import protocol; mine, protocol.REQUEST_FORMAT = protocol.REQUEST_FORMAT, {other}")
    try:
        for exchange in (lambda: remote["a"], lambda: remote.run("a = 1"), lambda: remote.run("", inputs={"a": 1})):
            with pytest.raises(ExchangeError, match=rf"reads format {other}\. .*tfkernels install"):
                exchange()
    finally:
        assert ask(remote, "protocol.REQUEST_FORMAT = mine")["status"] == "ok", "what asks for nothing is run by any"
    assert remote["a"] == 0
