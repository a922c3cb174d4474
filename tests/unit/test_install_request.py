"""What a kernel was made with is kept, and what is asked for now replaces it: no process is started."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tfprovisioner.catalogue import releases
from tfprovisioner.environments import build
from tfprovisioner.errors import BadRequirement, NoWheels
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.request import InstallRequest, made_by

_FULL = InstallRequest(
    "1.15", name="mine", user=True, backend="conda", extras=("pandas", "tqdm<4.60"), python="3.7",
    channels=("conda-forge", "https://example.org/mine"), conda="/opt/conda/bin/conda", gpu=True, devices="0,1",
    only_binary=True,
)  # fmt: skip


def described(order: InstallRequest) -> object:
    """``metadata.tfkernels`` of its kernel, after a stay on disk."""
    return json.loads(json.dumps({"backend": order.backend, "order": order.to_json()}))


def test_an_order_is_kept_whole() -> None:
    assert made_by(described(_FULL)) == _FULL  # type: ignore[arg-type]
    once = replace(_FULL, rebuild=True, without=("scipy",))
    assert made_by(described(once)) == _FULL, "what was for once only is not"  # type: ignore[arg-type]


def test_no_password_is_kept() -> None:
    secret = replace(_FULL, channels=("https://me:secret@example.org/t/to-ken/mine",))
    assert "secret" not in json.dumps(secret.to_json())
    assert "to-ken" not in json.dumps(secret.to_json())
    assert secret.to_json()["channels"] == ["https://example.org/mine"]


def test_omitted_options_keep_their_values() -> None:
    again = InstallRequest("1.15", name="mine", user=True).completed(_FULL)
    assert again == _FULL
    assert again.command == _FULL.command
    assert (
        InstallRequest("1.15", name="mine", user=True).completed(None).command
        == "tfkernels install 1.15 --name mine --user"
    )


def test_what_is_said_replaces_it() -> None:
    now = InstallRequest(
        "1.15", backend="uv", extras=("tqdm>=4.66",), without=("pandas",), python="usual", channels=("other",),
        conda="usual", gpu=False, devices="all", only_binary=False,
    ).completed(_FULL)  # fmt: skip
    assert (now.backend, now.extras, now.python, now.channels) == ("uv", ("tqdm>=4.66",), None, ("other",))
    assert (now.conda, now.gpu, now.command) == (
        None, False, "tfkernels install 1.15 --backend uv --channel other --with 'tqdm>=4.66'"
    )  # fmt: skip
    with pytest.raises(BadRequirement, match="was not made with it"):
        InstallRequest("1.15", without=("scipy",)).completed(_FULL)


def _lock() -> str:
    """The verified lock of a release, as a file has it."""
    found = lock_file.of_release("1.15.5", "3.7", releases.platform_name(), gpu=False)
    assert found is not None
    return found.file()


def test_a_lock_leaves_choices_beside_packages() -> None:
    before = InstallRequest("1.15", channels=("mine",), conda="/opt/conda", devices="0")
    now = InstallRequest("1.15.5", lock=_lock()).completed(before)
    assert (now.channels, now.conda, now.devices) == (("mine",), "/opt/conda", "0")
    assert InstallRequest("1.15.5", lock=_lock(), conda="usual").completed(before).conda is None


def test_builds_are_allowed_for_one_lock_only() -> None:
    """A kernel without a lock may build; that says nothing about somebody's lock."""
    plain = InstallRequest("1.15").completed(None)
    assert InstallRequest("1.15.5", lock=_lock()).completed(plain).only_binary is None
    allowed = InstallRequest("1.15.5", lock=_lock(), only_binary=False).completed(plain)
    assert allowed.only_binary is False
    assert InstallRequest("1.15").completed(allowed).only_binary is False, "kept with its lock"
    assert InstallRequest("1.15.5", lock=_lock()).completed(allowed).only_binary is None


def test_a_lock_takes_no_packages_away() -> None:
    before = InstallRequest("1.15", name="mine", extras=("pandas<1.3", "numpy", "dataclasses; python_version<'3.7'"))
    with pytest.raises(BadRequirement, match=r"mine was made with pandas<1\.3, which the lock does not have"):
        InstallRequest("1.15.5", name="mine", lock=_lock()).completed(before)
    kept = InstallRequest("1.15.5", name="mine", lock=_lock()).completed(replace(before, extras=before.extras[1:]))
    assert kept.extras == ()


def test_python_paths_are_not_kept_for_conda() -> None:
    before = InstallRequest("1.15", python="/opt/python3.7")
    assert InstallRequest("1.15").completed(before).python == "/opt/python3.7"
    assert InstallRequest("1.15", backend="conda").completed(before).python is None


def test_kernels_of_other_versions() -> None:
    older = {"release": "1.15", "backend": "conda", "extras": ["tqdm"], "gpu": True, "devices": "0", "command": "…"}
    assert made_by(older) == InstallRequest("1.15", backend="conda", extras=("tqdm",), gpu=True, devices="0")
    newer = {"backend": "uv", "order": {"release": "1.15", "what_comes_later": 1}}
    assert made_by(newer) == InstallRequest("1.15")
    assert made_by({"backend": "uv", "order": "spoiled"}) == InstallRequest("", backend="uv")
    assert made_by({"backend": "existing"}) is None
    assert made_by({}) is None


def test_windows_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the name of the platform is patched; this runs on no Windows."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        built = build.ensured(InstallRequest("tf1"), Path(), Reporter("tf1"))
        with pytest.raises(NoWheels, match="not on Windows"), built:
            pass
