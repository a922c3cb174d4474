"""Sizes on the command line: ``--memory`` of ``tfkernels run``."""

from __future__ import annotations

import pytest
from typer import BadParameter

from tfprovisioner.cli.shared_options import parse_memory


def test_memory_is_read() -> None:
    assert parse_memory("1.5 GiB") == 3 * 2**29


@pytest.mark.parametrize("text", ["", "GB", "-2GB", "-5", "0", "1e999", "much"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadParameter, match=r"is not a size\. Write one like 2GB|'0' is too little"):
        parse_memory(text)
