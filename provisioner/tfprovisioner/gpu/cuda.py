"""CUDA for a release: the libraries that it is installed with, and how its kernel finds them.

See docs/design/gpu.md for the CUDA of each release and where its libraries come from.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from tfprovisioner.catalogue import locks
from tfprovisioner.catalogue.releases import Release, platform_name
from tfprovisioner.errors import NoGPU

OVERLAYS = Path(__file__).parents[1] / "catalogue" / "data" / "gpu"
"""A lock for each release, of its GPU distribution and the CUDA libraries, to lay over the one for CPUs."""

PLATFORM = "linux-x86_64"
"""The platform that NVIDIA has wheels for, of all these releases."""

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
"""2.14 and 2.15 ask for them. They are optional, have no wheels on the index, and 2.15.0's version is gone."""


@dataclass(frozen=True)
class Toolkit:
    """The libraries that releases (a PEP 440 specifier) were built and tested with, and want when they use a GPU."""

    releases: str
    cuda: str
    cudnn: str


TOOLKITS = (
    Toolkit(">=1.0,<1.3", "8.0", "5.1"),
    Toolkit(">=1.3,<1.5", "8.0", "6"),
    Toolkit(">=1.5,<1.13", "9.0", "7"),
    Toolkit(">=1.13,<2.1", "10.0", "7.4"),
    Toolkit(">=2.1,<2.4", "10.1", "7.6"),
    Toolkit(">=2.4,<2.5", "11.0", "8.0"),
    Toolkit(">=2.5,<2.12", "11.2", "8.1"),
    Toolkit(">=2.12,<2.14", "11.8", "8.6"),
    Toolkit(">=2.14,<2.15", "11.8", "8.7"),
    Toolkit(">=2.15,<2.16", "12.2", "8.9"),
    Toolkit(">=2.16,<2.18", "12.3", "8.9"),
    Toolkit(">=2.18", "12.5", "9.3"),
)
"""From https://www.tensorflow.org/install/source#gpu; see docs/design/gpu.md for later releases."""


def toolkit(version: str) -> Toolkit:
    """The toolkit of a release; one that is newer than the table goes by the last row."""
    return next(row for row in TOOLKITS if SpecifierSet(row.releases).contains(version, prereleases=True))


def by_wheels(release: Release) -> bool:
    """Whether the release can be installed with CUDA from wheels."""
    return _in(WITH_EXTRA, release) or _in(WITH_CUDA_11, release)


def requirements(release: Release) -> tuple[str, ...]:
    """The requirements of the lock with CUDA, in place of TensorFlow itself."""
    exactly = release.version if release.version.count(".") > 1 else f"{release.version}.*"
    if _in(WITH_EXTRA, release):
        return (f"{release.gpu}[and-cuda]=={exactly}",)
    return (f"{release.gpu}=={exactly}", *(CUDA_11 if by_wheels(release) else ()))


def by_conda(release: Release) -> tuple[str, ...]:
    """The conda packages of a release whose CUDA has no wheels."""
    if by_wheels(release):
        return ()
    wanted = toolkit(release.version)
    major = int(wanted.cudnn.split(".")[0])
    return (f"cudatoolkit={wanted.cuda}", f"cudnn>={wanted.cudnn},<{major + 1}")


def lock(release: Release) -> str | None:
    """The release's lock with GPU distribution and CUDA libraries; ``None`` if the catalogue does not know it."""
    path = OVERLAYS / f"{release.version}.txt"
    if release.lock is None or not path.exists():
        return None
    return overlaid(release.lock, path.read_text(encoding="utf-8"))


def overlaid(text: str, overlay: str) -> str:
    """A lock in which the pins of ``overlay`` take the place of those of the same name, and of TensorFlow."""
    pins, hashes = locks.split(text)
    over, more = locks.split(overlay)
    replaced = {"tensorflow", "tensorflow-cpu", "tensorflow-gpu", *(pin.split("==")[0] for pin in over)}
    kept = [pin for pin in pins if pin.split("==")[0] not in replaced]
    return locks.joined([*kept, *over], {**hashes, **more})


def version(release: Release) -> str:
    """The CUDA that a kernel of the release runs with: ``11.8``."""
    runtime = re.search(r"nvidia-cuda-runtime-cu\d+==(\d+\.\d+)", lock(release) or "")
    return runtime[1] if runtime else toolkit(release.version).cuda


def check(release: Release, conda: bool) -> None:
    """Raises ``NoGPU`` if this machine can get CUDA for the release neither by wheels nor from conda's channels."""
    if platform_name() != PLATFORM:
        raise NoGPU(f"--gpu is for Linux x86-64 only, and this is {platform_name()}. Omit --gpu.")
    if not by_wheels(release) and not conda:
        wanted = toolkit(release.version)
        raise NoGPU(
            f"TensorFlow {release.version} wants CUDA {wanted.cuda} and cuDNN {wanted.cudnn}, and there are no "
            f"wheels of these. Take a release from 2.5 on, or omit --gpu; or add --backend conda, and perhaps a "
            f"channel that has cudatoolkit={wanted.cuda}: --channel CHANNEL"
        )


def variables(environment: Path | None, devices: str | None) -> dict[str, str]:
    """The variables that a kernel is started with, for CUDA's libraries in an environment and for its GPUs (``0,1``).

    A loader reads its variable when a process begins, not later.
    """
    found = {}
    if environment is not None:
        of_conda = {library.parent for library in environment.glob("lib/libcudart.so*")}
        libraries = (*sorted(environment.glob("lib/python*/site-packages/nvidia/*/lib")), *of_conda)
        found["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
        for compiler in _compilers(environment):
            found["TFKERNELS_KERNEL_CUDA"] = str(compiler)
    if devices not in (None, "all"):
        # CUDA's own order is by speed; everybody counts as nvidia-smi does.
        found["CUDA_VISIBLE_DEVICES"] = "-1" if devices == "none" else str(devices)
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return found


def programs(environment: Path | None) -> list[str]:
    """The folders with CUDA's programs: XLA runs ``ptxas``."""
    return [str(compiler / "bin") for compiler in _compilers(environment)] if environment is not None else []


def _compilers(environment: Path) -> list[Path]:
    """The folder with ``bin/ptxas`` and ``nvvm/libdevice``, if there is one."""
    return sorted(folder.parent for folder in environment.glob("lib/python*/site-packages/nvidia/*/nvvm"))[:1]


def _in(specifier: SpecifierSet, release: Release) -> bool:
    return specifier.contains(release.version, prereleases=True)
