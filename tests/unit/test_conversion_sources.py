"""Which releases are asked to load a file."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tfprovisioner.conversion import source_releases


@pytest.mark.parametrize(
    ("written_by", "there", "expected"),
    [
        (["1.12.0"], [], ["1.12"]),
        (["1.12.0"], ["1.15", "2.11", "2.15"], ["1.12", "1.15", "2.11", "2.15"]),
        (["1.13", "2.1"], [], ["1.15"]),
        (["1.13", "2.1"], ["2.0"], ["2.0"]),
        (["1.9", "1.12"], [], ["1.12"]),
        (["2.4"], ["1.15", "2.11"], ["2.4", "2.11"]),
        (["2.16", ""], ["2.17"], ["2.21"]),
        ([], [], ["1.15"]),
        ([], ["2.11"], ["2.11"]),
    ],
)
def test_the_writers_line_is_first(written_by: Sequence[str], there: list[str], expected: list[str]) -> None:
    found = [wanted.release for wanted in source_releases.of(written_by, lambda wanted: wanted.release in there)]
    assert found == expected
