"""Resolving what each release is installed with to use GPUs: ``python -m tfcatalogue.overlays [VERSION …]``.

Only metadata is read; nothing of it was tried on a GPU.
"""

import sys
import tempfile
from pathlib import Path

from packaging.version import Version

from tfprovisioner import catalogue, cuda, locks, resolution
from tfprovisioner.catalogue import Release
from tfprovisioner.errors import BuildFailed


def resolved(release: Release) -> str:
    """The GPU distribution and the CUDA libraries, pinned and hashed. The rest is in the release's lock.

    Raises ``BuildFailed``.
    """
    oldest = min(release.pythons, key=Version)
    # Not universal: the libraries are the same for every Python, and there is but one platform.
    options = ["--python-version", oldest, "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
    if not any("[and-cuda]" in requirement for requirement in cuda.requirements(release)):
        options.append("--no-deps")  # all libraries are named, and TensorFlow's own requirements are in its lock
    with tempfile.TemporaryDirectory() as folder:
        text = resolution.resolve(
            cuda.requirements(release),
            release.constraints,
            [*release.overrides, *cuda.NEVER],
            options,
            Path(folder),
            lambda _: None,
        )
    pins, hashes = locks.split(text)
    names = [pin.partition(" ;")[0] for pin in pins]
    chosen = [name for name in names if name.startswith(("nvidia-", f"{release.gpu}=="))]
    return "".join(
        " \\\n    ".join([name, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[name]))]) + "\n"
        for name in chosen
    )


def main(names: list[str]) -> int:
    failed = False
    for release in map(catalogue.find, names) if names else catalogue.releases():
        try:
            (cuda.OVERLAYS / f"{release.version}.txt").write_text(resolved(release), encoding="utf-8")
            print(f"{release.version}: CUDA {cuda.version(release)}", file=sys.stderr, flush=True)
        except (BuildFailed, OSError) as error:
            print(f"{release.version}: {error}", file=sys.stderr, flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
