"""ipykernel 7.0 to 7.3 in a called kernel: no reply goes past the stream that reads the requests."""

from __future__ import annotations

from types import SimpleNamespace

from tfkernels.kernel_side import lost_requests


def test_replies_go_through_the_stream() -> None:
    manager = SimpleNamespace(_shell_socket="socket")
    for started in (None, manager):
        thread = SimpleNamespace(_shell_socket="socket", _manager=started)
        lost_requests.prevent(SimpleNamespace(shell_channel_thread=thread, shell_stream="stream"))
        assert thread._shell_socket == "stream"
    assert manager._shell_socket == "stream"


def test_other_ipykernels_stay_as_they_are() -> None:
    thread = SimpleNamespace(_manager=SimpleNamespace())
    lost_requests.prevent(SimpleNamespace(shell_channel_thread=thread, shell_stream="stream"))
    assert vars(thread) == {"_manager": SimpleNamespace()}
    lost_requests.prevent(SimpleNamespace())
