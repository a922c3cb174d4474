"""CUDA for a release: which libraries it is installed with, and how its kernel finds them.

From 2.14 on TensorFlow names the wheels itself (``and-cuda``). 2.5 to 2.13 ask for CUDA 11.2 to 11.8 and find the
libraries of 11.8, which have the same names; there are wheels of these. For older ones there are none: 2.4 looks for
libraries of 11.0 that 11.8 has no more, and before that it was CUDA 8 to 10. Conda has packages of these.
"""

import re
from pathlib import Path

from packaging.specifiers import SpecifierSet

from tfprovisioner.catalogue import tested_cuda
from tfprovisioner.catalogue.releases import Release, platform_name
from tfprovisioner.errors import NoGPU

OVERLAYS = Path(__file__).parents[1] / "catalogue" / "data" / "gpu"
"""A lock for each release, of its GPU distribution and the CUDA libraries, to be laid over the one for CPUs."""

PLATFORM = "linux-x86_64"
"""Where NVIDIA has the wheels for all of these releases."""

WITH_EXTRA = SpecifierSet(">=2.14")
WITH_CUDA_11 = SpecifierSet(">=2.5,<2.14")
CUDA_11 = (
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cuda-cupti-cu11==11.8.87",  # the profiler
    "nvidia-cuda-nvcc-cu11==11.8.89",  # XLA runs ptxas and reads libdevice
    "nvidia-cuda-nvrtc-cu11==11.8.89",
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cudnn-cu11==8.6.0.163",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
)
NEVER = tuple(f"{name} ; sys_platform == 'never'" for name in ("tensorrt", "tensorrt-libs", "tensorrt-bindings"))
"""What 2.14 and 2.15 ask for as well. It is optional, has no wheels on the index, and 2.15.0's version is gone."""


def by_wheels(release: Release) -> bool:
    """Whether the release can be installed with CUDA from wheels."""
    return _in(WITH_EXTRA, release) or _in(WITH_CUDA_11, release)


def requirements(release: Release) -> tuple[str, ...]:
    """What the lock with CUDA is resolved from, instead of TensorFlow itself."""
    exactly = release.version if release.version.count(".") > 1 else f"{release.version}.*"
    if _in(WITH_EXTRA, release):
        return (f"{release.gpu}[and-cuda]=={exactly}",)
    return (f"{release.gpu}=={exactly}", *(CUDA_11 if by_wheels(release) else ()))


def by_conda(release: Release) -> tuple[str, ...]:
    """The conda packages of a release whose CUDA has no wheels."""
    wanted = tested_cuda.toolkit(release.version)
    if by_wheels(release):
        return ()
    major = int(wanted.cudnn.split(".")[0])
    return (f"cudatoolkit={wanted.cuda}", f"cudnn>={wanted.cudnn},<{major + 1}")


def lock(release: Release) -> str | None:
    """The release's lock with GPU distribution and CUDA libraries; ``None`` if the catalogue does not know it."""
    path = OVERLAYS / f"{release.version}.txt"
    if release.lock is None or not path.exists():
        return None
    return overlaid(release.lock, path.read_text(encoding="utf-8"))


def overlaid(text: str, overlay: str) -> str:
    """A lock in which the requirements of ``overlay`` take the place of those of the same name, and of TensorFlow."""
    over = _entries(overlay)
    replaced = {"tensorflow", "tensorflow-cpu", "tensorflow-gpu", *(name for name, _ in over)}
    kept = [entry for name, entry in _entries(text) if name not in replaced]
    return "".join([*kept, *(entry for _, entry in over)])


def _entries(text: str) -> list[tuple[str, str]]:
    """The requirements of a lock by name, each with its hashes; comments are left out."""
    lines = [line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#")]
    entries = re.findall(r"(?m)^[A-Za-z0-9].*\n(?:[ \t]+.*\n)*", "".join(lines))
    return [(re.split(r"[=\[ ]", entry, maxsplit=1)[0].lower(), entry) for entry in entries]


def version(release: Release) -> str:
    """The CUDA that a kernel of the release runs with: ``11.8``."""
    runtime = re.search(r"nvidia-cuda-runtime-cu\d+==(\d+\.\d+)", lock(release) or "")
    return runtime[1] if runtime else tested_cuda.toolkit(release.version).cuda


def check(release: Release, conda: bool) -> None:
    """Raises ``NoGPU`` if CUDA for the release cannot be had on this machine, by wheels or from conda's channels."""
    if platform_name() != PLATFORM:
        raise NoGPU(
            f"TensorFlow with CUDA is for Linux x86-64 only here, and this is {platform_name()}. Leave --gpu out."
        )
    if not by_wheels(release) and not conda:
        wanted = tested_cuda.toolkit(release.version)
        raise NoGPU(
            f"TensorFlow {release.version} wants CUDA {wanted.cuda} and cuDNN {wanted.cudnn}, and there are no wheels "
            f"of these. Take a release from 2.5 on, or leave --gpu out; or add --backend conda, and perhaps a channel "
            f"that has cudatoolkit={wanted.cuda}: --channel CHANNEL"
        )


def libraries(environment: Path) -> tuple[Path, ...]:
    """The folders of an environment with CUDA's shared libraries."""
    of_conda = {library.parent for library in environment.glob("lib/libcudart.so*")}
    return (*sorted(environment.glob("lib/python*/site-packages/nvidia/*/lib")), *of_conda)


def variables(environment: Path | None, devices: str | None) -> dict[str, str]:
    """What a kernel is started with, for CUDA's libraries in an environment, if it has any, and for its GPUs (``0,1``).

    A loader reads its variable when a process begins, not later.
    """
    told = {}
    if environment is not None:
        told["LD_LIBRARY_PATH"] = ":".join(str(folder) for folder in libraries(environment))
        for compiler in _compilers(environment):
            told["TFKERNELS_KERNEL_CUDA"] = str(compiler)
    if devices not in (None, "all"):
        # CUDA's own order is by speed; everybody counts as nvidia-smi does.
        told |= {"CUDA_VISIBLE_DEVICES": "-1" if devices == "none" else str(devices), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return told


def programs(environment: Path | None) -> list[str]:
    """The folders with CUDA's programs: XLA runs ``ptxas``."""
    return [str(compiler / "bin") for compiler in _compilers(environment)] if environment is not None else []


def _compilers(environment: Path) -> list[Path]:
    """The folder with ``bin/ptxas`` and ``nvvm/libdevice``, if there is one."""
    return sorted(folder.parent for folder in environment.glob("lib/python*/site-packages/nvidia/*/nvvm"))[:1]


def _in(specifier: SpecifierSet, release: Release) -> bool:
    return specifier.contains(release.version, prereleases=True)
