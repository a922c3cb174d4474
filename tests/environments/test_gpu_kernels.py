"""Kernels for GPUs, without a GPU: variables of the kernelspec, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import tfkernels
from tfkernels import env_vars
from tfprovisioner.environments.store import Environment
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.requirements.request import InstallRequest, Recipe


def test_gpu_releases_without_cuda_wheels_are_refused(place: Path) -> None:
    failed = tfkernels("install", "tf1", "--gpu", "--user")
    assert failed.returncode == 1
    assert "wants CUDA 10.0 and cuDNN 7.4, and there are no wheels" in failed.stderr
    assert not (place / "jupyter").exists()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """What the kernelspec of a GPU environment looks at."""
    packages = tmp_path / "lib" / "python3.13" / "site-packages" / "nvidia"
    for folder in ("cublas/lib", "cudnn/lib", "cudnn/include", "cuda_nvcc/bin", "cuda_nvcc/nvvm/libdevice"):
        (packages / folder).mkdir(parents=True)
    recipe = Recipe.of(InstallRequest("tf2", gpu=True), "3.13")
    return Environment(tmp_path, recipe, "3.13.0", "/usr/bin/python3.13", "2026-01-01", 1)


def test_gpu_libraries_and_devices_stay_in_their_kernel(environment: Environment, place: Path) -> None:
    order = InstallRequest("tf2", user=True, gpu=True, devices="0,1")
    assert order.command == "tfkernels install tf2 --user --gpu --devices 0,1"
    assert environment.recipe != Recipe.of(InstallRequest("tf2"), "3.13")
    folder, _ = kernelspec.write(order, environment)
    told = json.loads((folder / "kernel.json").read_text())["env"]
    packages = environment.folder / "lib" / "python3.13" / "site-packages" / "nvidia"
    assert told["LD_LIBRARY_PATH"] == f"{packages}/cublas/lib:{packages}/cudnn/lib"
    assert told["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert told["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"

    # In the kernel they stay, for `!python` as well; the kernels that it starts do not get them.
    script = (
        "import json, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tfkernels import env_vars as environ; environ.activate()\n"
        "print(json.dumps([dict(os.environ), environ.cleaned(environ.AT_START)]))"
    )
    source = str(Path(env_vars.__file__).parent.parent)
    server = {"PATH": os.environ["PATH"], "XLA_FLAGS": "--xla_dump_to=/x", "LD_LIBRARY_PATH": "/server"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, source], env={**server, **told}, capture_output=True, text=True, check=True
    )
    inside, handed_on = json.loads(done.stdout)
    assert {name: inside[name] for name in ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")} == {
        name: told[name] for name in ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
    }
    assert inside["XLA_FLAGS"] == f"--xla_dump_to=/x --xla_gpu_cuda_data_dir={packages}/cuda_nvcc"
    assert inside["PATH"].split(":")[1] == f"{packages}/cuda_nvcc/bin"
    assert inside["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert handed_on["XLA_FLAGS"] == "--xla_dump_to=/x"
    assert not {"LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & set(handed_on)
