"""Conda's channels by name and by address, and what is written of an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.channels import order
from tfprovisioner.conda import channels as names


def test_channels_by_name_and_by_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TFKERNELS_CHANNELS", "CONDA_CHANNEL_ALIAS"):
        monkeypatch.delenv(name, raising=False)
    assert names.chosen(()) == ("conda-forge",)
    assert names.urls("conda-forge") == ("https://conda.anaconda.org/conda-forge",)
    assert names.urls("defaults") == ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
    assert names.urls(str(tmp_path)) == (tmp_path.as_uri(),)
    assert names.urls("https://here/mine/") == ("https://here/mine",)
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", "https://mirror/conda/")
    monkeypatch.setenv("TFKERNELS_CHANNELS", "mine, conda-forge")
    assert names.chosen(()) == ("mine", "conda-forge")
    assert names.chosen(("other",)) == ("other",)
    assert names.urls("mine") == ("https://mirror/conda/mine",)
    address = "https://name:password@host:8/t/to-ken/mine"
    assert names.public(address) == "https://host:8/mine"
    assert "--channel https://host:8/mine" in order(address).command
