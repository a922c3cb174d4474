"""The output of several kernels in one place: whose line it is, and what becomes of what a cell takes back."""

from __future__ import annotations

from typing import Any

import pytest

from tfkernels.output import line_prefix
from tfkernels.output.line_prefix import PrefixedRelays, aligned
from tfkernels.output.relay import FunctionRelay, Relay


class Page:
    """What a notebook would show at last."""

    def __init__(self) -> None:
        self.streams = ""
        self.displays: dict[str, Any] = {}
        self.labels = PrefixedRelays(FunctionRelay(self.take), aligned(["tf1", "tf2"], "│"))

    def take(self, output: dict[str, Any]) -> None:
        if output["output_type"] == "stream":
            self.streams += output["text"]
        elif output["output_type"] in ("display_data", "update_display_data"):
            place = output["transient"]["display_id"]
            assert (place in self.displays) == (output["output_type"] == "update_display_data")
            self.displays[place] = output["data"]

    @property
    def seen(self) -> list[str]:
        return [data.get("text/html") or data["text/plain"] for data in self.displays.values() if any(data.values())]


def html(relay: Relay, text: str, identity: str | None = None, update: bool = False) -> None:
    transient = {} if identity is None else {"display_id": identity}
    relay.display({"text/plain": "<object>", "text/html": text}, {}, transient, update)


@pytest.fixture
def page() -> Page:
    return Page()


def test_lines_are_whole_and_labelled(page: Page) -> None:
    one, other = page.labels.of("tf1"), page.labels.of("tf2")
    one.stream("stdout", "a\nb")
    other.stream("stdout", "c\n")
    one.stream("stdout", "d\n")
    page.labels.close()
    assert page.streams == "tf1 │ a\ntf1 │ b\ntf2 │ c\ntf1 │ bd\n"


def test_incomplete_lines_delay_other_kernels_briefly(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = page.labels.of("tf1"), page.labels.of("tf2")
    one.stream("stderr", " 10%")
    other.stream("stderr", " 20%")
    one.stream("stderr", "\r 30%")
    assert page.streams == "tf1 │  10%\rtf1 │  30%"
    monkeypatch.setattr(line_prefix, "LINE_TIMEOUT", 0)
    other.stream("stderr", "\r 40%")
    page.labels.close()
    assert page.streams == "tf1 │  10%\rtf1 │  30%\ntf2 │  40%\ntf1 │  30%\ntf2 │  40%\n"


def test_equal_display_ids_stay_apart(page: Page) -> None:
    for name in ("tf1", "tf2"):
        html(page.labels.of(name), f"{name} begins", "progress")
    html(page.labels.of("tf1"), "tf1 ends", "progress", update=True)
    assert page.seen == ["tf1 ends", "tf2 begins"]
    assert "progress" in page.displays, "later cells find it by its id"


def test_text_with_an_id_can_be_updated(page: Page) -> None:
    one = page.labels.of("tf1")
    one.display({"text/plain": "1\n2"}, {}, {"display_id": "a"}, False)
    one.display({"text/plain": "3"}, {}, {"display_id": "a"}, True)
    one.display({"text/plain": "4"}, {}, {}, False)
    assert page.seen == ["tf1 │ 3"]
    assert page.streams == "tf1 │ 4\n"


def test_a_kernel_clears_its_own_displays(page: Page) -> None:
    one, other = page.labels.of("tf1"), page.labels.of("tf2")
    html(other, "other")
    for step in range(3):
        one.clear(wait=True)
        html(one, f"figure {step}")
        html(one, f"legend {step}", "legend")
        html(one, f"legend of {step}", "legend", update=True)
    assert page.seen == ["other", "figure 2", "legend of 2"]
    assert len(page.displays) == 3, "the new ones take the places of the old ones"
    one.clear(wait=True)
    assert page.seen == ["other", "figure 2", "legend of 2"], "until something else comes"
    one.stream("stdout", "end\n")
    assert page.seen == ["other"]
    other.clear(wait=False)
    assert page.seen == []


def test_output_stays_where_nothing_can_be_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    one = PrefixedRelays(Relay(), {"tf1": "tf1 │ "}).of("tf1")
    html(one, "first")
    one.clear(wait=False)
    html(one, "second")
    assert capsys.readouterr().out == "tf1 │ \n<object>\n" * 2


def test_questions_are_labelled() -> None:
    class Answering(Relay):
        can_ask = True

        def ask(self, prompt: str, password: bool) -> str:
            return f"{prompt}{password}"

    one = PrefixedRelays(Answering(), {"tf1": "tf1 │ "}).of("tf1")
    assert one.can_ask
    assert one.ask("a? ", True) == "tf1 │ a? True"
    assert not PrefixedRelays(FunctionRelay(print), {"tf1": "tf1 │ "}).of("tf1").can_ask
