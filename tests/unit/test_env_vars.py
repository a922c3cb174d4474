"""Which variables a kernel's process sees."""

from __future__ import annotations

import os

import pytest

from tfkernels import env_vars
from tfkernels.env_vars import MISSING, OWN, cleaned, for_kernel, of_client, parse_size


def test_what_belongs_to_another_environment_is_taken_away() -> None:
    foreign = dict.fromkeys(
        (
            "PYTHONPATH", "PYTHONHOME", "PYTHONMALLOC", "PYTHON_GIL", "PYTHONPLATLIBDIR", "PYTHONBREAKPOINT",
            "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_SHLVL", "LD_LIBRARY_PATH", "LD_PRELOAD", "JPY_PARENT_PID",
            "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE",
        ),
        "x",
    )  # fmt: skip
    foreign["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    foreign["TF2_BEHAVIOR"] = "1"  # set by `import tensorflow`
    foreign["TFKERNELS_KERNEL"] = "tf2"
    kept = {"PATH": "/bin", "HOME": "/h", "MY_PYTHONPATH": "1", "CUDA_VISIBLE_DEVICES": "1", "TFKERNELS_HOME": "/d"}
    assert cleaned({**foreign, **kept}) == kept


def test_kernelspec_and_user_variables_stay() -> None:
    wished = {"MPLBACKEND": "Agg", "PYTHONBREAKPOINT": "0", "TF2_BEHAVIOR": "0"}
    own = {"PYTHONPATH": "", "LD_PRELOAD": "/x"}
    given = for_kernel({**wished, "PYTHONPATH": "/theirs"}, own)
    assert {name: given[name] for name in given if name != MISSING} == {**wished, **own}


def test_kernels_hand_on_what_their_client_had() -> None:
    client = {"PATH": "/bin", "PYTHONPATH": "/mine", "CONDA_PREFIX": "/c", "CUDA_VISIBLE_DEVICES": "1", "A": "\udcff"}
    own = {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1", "CUDA_VISIBLE_DEVICES": "0"}
    kernel = for_kernel(client, {**own, OWN: ",".join(own), "TFKERNELS_KERNEL": "tf1"})
    assert of_client(kernel) == client
    second = for_kernel(kernel, {"TFKERNELS_KERNEL": "tf2"})
    assert second["CUDA_VISIBLE_DEVICES"] == "1"
    assert of_client(second) == client, "also the second one in a row"


@pytest.mark.parametrize("ours", [False, True])
def test_commands_get_what_cells_set(monkeypatch: pytest.MonkeyPatch, ours: bool) -> None:
    client = {"PATH": "/bin", "PYTHONPATH": "/mine", "HTTPS_PROXY": "old", "UV_OFFLINE": "1"}
    at_start = for_kernel(client, {OWN: "PYTHONNOUSERSITE", "PYTHONNOUSERSITE": "1"}) if ours else client
    monkeypatch.setattr(env_vars, "AT_START", at_start)
    monkeypatch.setattr(env_vars, "_before_cells", at_start)
    monkeypatch.setattr(os, "environ", dict(at_start))
    if ours:
        env_vars.activate()
    assert env_vars.of_command() == client
    os.environ.update(TFKERNELS_HOME="/data", HTTPS_PROXY="new", PYTHONPATH="/of/this/python")
    del os.environ["UV_OFFLINE"]
    assert env_vars.of_command() == {
        "PATH": "/bin", "PYTHONPATH": "/mine", "HTTPS_PROXY": "new", "TFKERNELS_HOME": "/data"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("2GB", 2 * 10**9), ("512M", 512 * 10**6), ("1.5 GiB", 3 * 2**29), ("4kB", 4000),
     ("4KiB", 4096), ("1ti", 2**40)],
)  # fmt: skip
def test_sizes_have_decimal_and_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size
