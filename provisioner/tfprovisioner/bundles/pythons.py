"""The interpreters of a bundle: fetched for its platform, and later put in place without network.

Only from makers whose licences allow passing them on: python-build-standalone, by way of uv, and conda-forge for the
versions that it does not have.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from tfprovisioner.bundles import python_archives
from tfprovisioner.bundles.contents import CONDA, PYTHONS, BundledPython, Manifest
from tfprovisioner.bundles.platforms import Platform
from tfprovisioner.catalogue import releases
from tfprovisioner.conda import channels, solve
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import choose, find, from_conda
from tfprovisioner.system import uv

STANDALONE_LICENCE = "PSF-2.0 (Python), with libraries under their own licences; build tools MPL-2.0"

LICENCES = """Licences of the interpreters in this folder and in ../conda

Archives cpython-*-install_only*.tar.gz are from python-build-standalone, unchanged:
https://github.com/astral-sh/python-build-standalone
Python is under the PSF License Agreement (in the archive: lib/python3.*/LICENSE.txt). The libraries in it are under
licences of their own, all of which allow passing them on: OpenSSL (Apache-2.0), SQLite (public domain), libffi, expat,
ncurses (MIT), zlib, bzip2, XZ (public domain), Tcl/Tk (BSD-like), libedit (BSD-3-Clause). The build scripts are under
MPL-2.0. See https://gregoryszorc.com/docs/python-build-standalone/main/running.html#licensing

Packages in ../conda are from conda-forge (https://conda-forge.org), unchanged. Each has the texts of its licence
inside, in info/licenses. manifest.json names the licence of each.
"""

_CHANNEL = "conda-forge"


def fetch(minor: str, platform: Platform, folder: Path, report: Reporter) -> tuple[BundledPython, dict[str, str]]:
    """Fetches an interpreter into the folder of a bundle. Also returns the licences of its files, by path.

    Raises ``BuildFailed``.
    """
    report.step(f"fetching Python {minor} for {platform.name}")
    if releases.order_of(minor) >= choose.UV_HAS_FROM:
        return _standalone(minor, platform, folder, report)
    return _of_conda(minor, platform, folder, report)


def _standalone(minor: str, platform: Platform, folder: Path, report: Reporter) -> tuple[BundledPython, dict[str, str]]:
    unpacked, archives = folder / "unpacked", folder / "archives"
    try:
        # uv checks the archive against a hash of its own, and keeps it in this cache.
        command = [
            "python",
            "install",
            "--no-bin",
            "--install-dir",
            str(unpacked),
            f"cpython-{minor}-{platform.python}",
        ]
        uv.run(command, folder, report.uv_says, changed={"UV_PYTHON_CACHE_DIR": str(archives)})
        key = next(path.name for path in unpacked.glob("cpython-*") if not path.is_symlink())
        archive = next(archives.glob("*.tar.*"), None)
        if archive is None:
            raise BuildFailed(f"uv installed Python {minor} but kept no archive of it.")
        target = folder / PYTHONS / archive.name.partition("-")[2]  # behind a part of its hash
        target.parent.mkdir(exist_ok=True)
        archive.rename(target)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(archives, ignore_errors=True)
    path = f"{PYTHONS}/{target.name}"
    python = BundledPython(minor, key.split("-")[1], "uv", STANDALONE_LICENCE, (path,), key)
    return python, {path: STANDALONE_LICENCE}


def _of_conda(minor: str, platform: Platform, folder: Path, report: Reporter) -> tuple[BundledPython, dict[str, str]]:
    channel = folder / CONDA / _CHANNEL
    request = PackageRequest(channels.chosen(()), (f"python={minor}",))
    packages = solve.download(channel, request, platform.conda, platform.system, report)
    shutil.rmtree(channel / ".tmp", ignore_errors=True)
    version = next(package["version"] for package in packages if package["name"] == "python")
    licences = {f"{CONDA}/{_CHANNEL}/{package['path']}": package["licence"] for package in packages}
    files = sorted(path.relative_to(folder).as_posix() for path in channel.rglob("*") if path.is_file())
    stated = ", ".join(sorted({licence for licence in licences.values() if licence}))
    return BundledPython(minor, version, "conda", stated, tuple(files)), licences


def missing(manifest: Manifest, minors: Collection[str]) -> list[BundledPython]:
    """The interpreters of a bundle that this machine lacks, of some minor versions."""
    return [python for python in manifest.pythons if python.minor in minors and not present(python.minor)]


def present(minor: str) -> bool:
    """Whether this machine has a Python of a minor version."""
    return bool(find.pythons(minor)) or from_conda.current(minor, (_CHANNEL,)) is not None


def put_in_place(python: BundledPython, manifest: Manifest, folder: Path, report: Reporter) -> None:
    """Installs an interpreter out of an unpacked bundle, where the search finds it. Raises ``BuildFailed``."""
    report.step(f"installing Python {python.version}")
    if python.source == "uv":
        command = python_archives.install_command(python)
        uv.run(command, folder, report.uv_says, changed=python_archives.described(folder, manifest))
        find.forget()
        return
    before = os.environ.get("CONDA_CHANNEL_ALIAS")
    os.environ["CONDA_CHANNEL_ALIAS"] = (folder / CONDA).as_uri()
    try:
        with from_conda.ensured(python.minor, (_CHANNEL,), None, report):
            pass
    finally:
        del os.environ["CONDA_CHANNEL_ALIAS"]
        if before is not None:
            os.environ["CONDA_CHANNEL_ALIAS"] = before
