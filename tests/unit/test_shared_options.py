"""Sizes on the command line: ``--memory`` of ``tfkernels run``."""

from __future__ import annotations

import pytest
from typer import BadParameter

from tfprovisioner.cli.shared_options import parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("1.5 GB", 15 * 10**8), ("2GiB", 2**31), ("800MB", 8 * 10**8), ("7", 7)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-2GB", "-5", "0", "1e999", "much"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="is not a size like 2GB or 800MB"):
        parse_size(text)
