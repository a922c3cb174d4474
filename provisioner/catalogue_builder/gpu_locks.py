"""Resolves the lock of a release for GPUs, from metadata only: nothing of it was tried on a GPU."""

from pathlib import Path

from packaging.version import Version

from catalogue_builder.locks import run_uv
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.gpu import cuda


def resolve_gpu(release: Release) -> str:
    """The GPU distribution and the CUDA libraries, pinned and hashed. The rest is in the release's lock.

    Raises ``BuildFailed``.
    """
    oldest = min(release.pythons, key=Version)
    # Not universal: the libraries are the same for every Python, and there is but one platform.
    options = ["--python-version", oldest, "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
    if not any("[and-cuda]" in requirement for requirement in cuda.requirements(release)):
        options.append("--no-deps")  # all libraries are named, and TensorFlow's own requirements are in its lock
    pins, hashes = run_uv(cuda.requirements(release), release, [*release.overrides, *cuda.NEVER], options)
    names = [pin.partition(" ;")[0] for pin in pins]
    chosen = [name for name in names if name.startswith(("nvidia-", f"{release.gpu}=="))]
    return "".join(
        " \\\n    ".join([name, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[name]))]) + "\n"
        for name in chosen
    )


def path(release: Release) -> Path:
    return cuda.OVERLAYS / f"{release.version}.txt"
