"""TensorFlow's notes at the start of a kernel, which kernels leave out."""

from __future__ import annotations

import pytest

from tfkernels import env_vars, start_notes

NOTES = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796028311.224749   14677 port.cc:153] oneDNN custom operations are on. You may see other results.
"""
OTHERS = b"""\
W0000 00:00:1796028311.368807   14677 gpu_device.cc:2433] TensorFlow was not built with CUDA kernels
E0000 00:00:1796028311.203469   14677 cuda_dnn.cc:8579] Unable to register cuDNN factory
2026-11-30 08:44:57.593867: W tensorflow/core/x.cc:94] a warning
I0000 was the first of them
half a line"""


def test_notes_are_dropped_and_warnings_stay() -> None:
    lines = OTHERS.splitlines(keepends=True)
    mixed = b"".join(NOTES + line for line in lines)
    assert start_notes.without(mixed) == OTHERS
    assert start_notes.only(mixed) == NOTES * len(lines)


@pytest.mark.parametrize(
    ("users", "level", "dropped"),
    [
        ({}, "1", True),
        ({"TF_CPP_MIN_LOG_LEVEL": "2"}, "2", True),
        ({"TF_CPP_MIN_LOG_LEVEL": "0"}, "0", False),
        ({"TFKERNELS_VERBOSE": "1"}, None, False),
    ],
)
def test_users_settings_bring_notes_back(users: dict[str, str], level: str | None, dropped: bool) -> None:
    assert env_vars.activated(users, "/x/bin/python").get("TF_CPP_MIN_LOG_LEVEL") == level
    assert start_notes.dropped(users) is dropped
