"""Makes a bundle of a plan: fetches its files, and writes them with a manifest into one file."""

import email
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import tfkernels
import tfprovisioner
from tfprovisioner.bundles import contents, download, package_files, pythons
from tfprovisioner.bundles.contents import LOCKS, PYTHONS, WHEELS, BundledPython, File, Manifest
from tfprovisioner.bundles.package_files import PackageFile
from tfprovisioner.bundles.plan import Plan
from tfprovisioner.conda import rattler_folder
from tfprovisioner.errors import BadBundle, BuildFailed, ProvisionError
from tfprovisioner.progress import Reporter
from tfprovisioner.system.files import cause

_PACKAGE = Path(tfprovisioner.__file__).parent
_PROGRAM = (
    "__init__.py", "errors.py", "system/__init__.py", "system/machine.py", "bundles/__init__.py",
    "bundles/contents.py", "bundles/python_archives.py", "bundles/start.py",
)  # fmt: skip
"""The modules of a bundle's own program."""

_MAIN = """import sys

if sys.version_info < (3, 8):  # it cannot read the modules
    sys.exit("error: this bundle needs Python 3.8 or newer. Run it with another python3.")

from tfprovisioner.bundles import start

sys.exit(start.main(sys.argv[1:]))
"""

_README = """TensorFlow kernels for machines without network: https://github.com/tfkernels/tfkernels

On the other machine:
  python3 tf.bundle ENVIRONMENT                              # a new environment with tfkernels in it
  ENVIRONMENT/bin/tfkernels install --bundle tf.bundle       # the kernels

manifest.json lists every file with its size and SHA-256, the kernels, and how the bundle was made.
"""

_EPOCH = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Written:
    """A bundle that was written."""

    path: Path
    sha256: str
    manifest: Manifest
    absent: dict[str, str]
    """Pythons that the other machine must have, and why they are not in it."""

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def write(planned: Plan, output: Path, folder: Path, brought: bool | None, report: Reporter) -> Written:
    """Fetches everything into ``folder`` and writes the bundle, which appears at ``output`` when it is whole.

    ``brought``: with Pythons; ``None``: with those that can be fetched. Raises ``ProvisionError``.
    """
    check_output(output)
    packed = folder / "packed"
    (packed / WHEELS).mkdir(parents=True)
    found, licences, absent = [], dict[str, str](), dict[str, str]()
    for minor in planned.minors:
        if brought is False:
            absent[minor] = "--no-pythons"
            continue
        try:
            python, stated = pythons.fetch(minor, planned.platform, packed, report)
        except BuildFailed as error:
            if brought:
                raise
            absent[minor] = str(error).splitlines()[-1].strip().removeprefix("Caused by: ").removeprefix("cause: ")
            continue
        found.append(python)
        licences |= stated
    planned = planned.for_pythons([python.minor for python in found if python.source == "uv"])
    packages = list(planned.packages)
    tool = _rattler(planned, report) if any(python.source == "conda" for python in found) else []
    found = [_with_tool(python, tool) for python in found]
    packages += [file for file in tool if file.name not in {one.name for one in packages}]
    report.step(f"fetching {len(packages)} files, {sum(file.size or 0 for file in packages) / 1e6:,.0f} MB")
    download.download(packages, packed / WHEELS, report)
    if (folder / LOCKS).is_dir():
        shutil.move(folder / LOCKS, packed / LOCKS)
    _write_texts(packed, bool(found))
    report.step(f"writing {output}")
    files = tuple(
        _described(path, path.relative_to(packed).as_posix(), licences)
        for path in sorted(packed.rglob("*"))
        if path.is_file()
    )
    manifest = Manifest(
        platform=planned.platform.name,
        tfkernels=tfkernels.__version__,
        own_pythons=planned.own_pythons,
        own_files=tuple(dict.fromkeys(f"{WHEELS}/{file.name}" for file in planned.own)),
        own_requirements=planned.own_requirements,
        kernels=planned.kernels,
        pythons=tuple(found),
        files=files,
        made={
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": _command(planned),
            "tfkernels": tfkernels.__version__,
            "python": sys.version.split()[0],
        },
    )
    return Written(output, _pack(manifest, packed, output), manifest, absent)


def _command(planned: Plan) -> str:
    """The command that makes such a bundle, without the index: its address may have a password."""
    extras = dict.fromkeys(extra for kernel in planned.kernels for extra in kernel.extras)
    words = ["tfkernels", "bundle", *(kernel.release for kernel in planned.kernels)]
    words += [*(word for extra in extras for word in ("--with", extra)), "--platform", planned.platform.name]
    return shlex.join(words)


def check_output(output: Path) -> None:
    """Raises ``BadBundle`` if there is something that is no bundle in the place of a new one."""
    if os.path.lexists(output):
        try:
            contents.read(output)
        except BadBundle:
            raise BadBundle(
                f"{output} exists and is no bundle, so it is not replaced. Choose another name with -o."
            ) from None
        if output.is_dir():
            raise BadBundle(f"{output} is a folder, so it is not replaced. Choose another name with -o.")
    if not output.parent.is_dir():
        raise BadBundle(f"There is no folder {output.parent} for the bundle. Make it, or choose another place with -o.")


@contextmanager
def scratch(output: Path, dry_run: bool) -> Iterator[Path]:
    """A folder for the work on a bundle, on the same disk, so that the last step is a rename."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=None if dry_run else output.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise ProvisionError(
            f"The bundle {output} could not be written: {cause(error)}. Free some space, or choose another place with "
            f"-o."
        ) from error


def _rattler(planned: Plan, report: Reporter) -> list[PackageFile]:
    """py-rattler, which installs conda's packages on the other machine."""
    return package_files.of([rattler_folder.REQUIREMENT], planned.own_pythons[0], planned.platform, report.uv_says)


def _with_tool(python: BundledPython, tool: Sequence[PackageFile]) -> BundledPython:
    more = tuple(f"{WHEELS}/{file.name}" for file in tool) if python.source == "conda" else ()
    return replace(python, files=(*python.files, *more))


def _write_texts(packed: Path, with_pythons: bool) -> None:
    for name in _PROGRAM:
        target = packed / "tfprovisioner" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((_PACKAGE / name).read_bytes())
    (packed / "__main__.py").write_text(_MAIN, encoding="utf-8")
    (packed / "README.txt").write_text(_README, encoding="utf-8")
    if with_pythons:
        (packed / PYTHONS).mkdir(exist_ok=True)
        (packed / PYTHONS / "LICENCES.txt").write_text(pythons.LICENCES, encoding="utf-8")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _described(path: Path, name: str, licences: dict[str, str]) -> File:
    licence = _licence_of_wheel(path) if path.suffix == ".whl" else licences.get(name, "")
    return File(name, path.stat().st_size, _sha256(path), licence)


def _licence_of_wheel(path: Path) -> str:
    """As its metadata state it in one short line, else by its classifiers."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    stated = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if stated and len(stated) < 100 and stated.isprintable():
        return stated
    known = (
        text.rpartition(" :: ")[2] for text in map(str, metadata.get_all("Classifier", [])) if text[:7] == "License"
    )
    return ", ".join(known)


def _pack(manifest: Manifest, packed: Path, output: Path) -> str:
    """Writes the zip file and moves it to ``output``. Returns its SHA-256."""
    whole = packed.parent / "bundle"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(contents.MANIFEST), manifest.to_json())
        for file in manifest.files:
            with archive.open(_entry(file.path, file.size), "w") as target, (packed / file.path).open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    digest = _sha256(whole)
    os.replace(whole, output)
    return digest


def _entry(name: str, size: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    entry.file_size = size  # decides whether the entry has sizes of 64 bits
    return entry
