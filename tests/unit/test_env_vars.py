"""Which variables a kernel's process sees."""

from __future__ import annotations

from tfkernels.env_vars import cleaned


def test_what_belongs_to_another_environment_is_taken_away() -> None:
    foreign = dict.fromkeys(
        ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_SHLVL", "LD_LIBRARY_PATH", "JPY_PARENT_PID"],
        "x",
    )
    foreign["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    foreign["TFKERNELS_KERNEL"] = "tf2"
    kept = {"PATH": "/bin", "HOME": "/h", "MY_PYTHONPATH": "1", "CUDA_VISIBLE_DEVICES": "1", "TFKERNELS_HOME": "/d"}
    assert cleaned({**foreign, **kept}) == kept


def test_kernelspec_and_user_variables_stay() -> None:
    assert cleaned({"PYTHONPATH": "", "MPLBACKEND": "Agg"}, keep={"PYTHONPATH"}) == {
        "PYTHONPATH": "",
        "MPLBACKEND": "Agg",
    }
