"""The program of a bundle, ``python3 tf.bundle ENVIRONMENT``: tfkernels for a machine that does not have it.

It runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tfprovisioner.bundles import contents, python_archives
from tfprovisioner.errors import BadBundle
from tfprovisioner.system.machine import platform_name


def main(arguments: list[str]) -> int:
    bundle = Path(sys.argv[0]).absolute()
    try:
        manifest = contents.read(bundle)
        if len(arguments) != 1 or arguments[0].startswith("-"):
            print(_usage(bundle, manifest))
            return 0 if arguments in ([], ["-h"], ["--help"]) else 2
        contents.check_platform(bundle, manifest, platform_name())
        environment = Path(arguments[0]).absolute()
        install(bundle, manifest, environment)
    except (BadBundle, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"tfkernels {manifest.tfkernels} is in {environment}. Next:\n{_next(environment, bundle)}")
    return 0


def _usage(bundle: Path, manifest: contents.Manifest) -> str:
    kernels = "\n".join(
        f"  {kernel.release}: TensorFlow {kernel.version}, Python {kernel.python}"
        + (f", with {', '.join(kernel.extras)}" if kernel.extras else "")
        for kernel in manifest.kernels
    )
    brought = ", ".join(python.version for python in manifest.pythons) or "none"
    return (
        f"TensorFlow kernels for {manifest.platform}, without network. Kernels:\n{kernels}\nPythons: {brought}\n\n"
        f"1. A new environment with tfkernels {manifest.tfkernels}:\n  python3 {_quoted(bundle)} ENVIRONMENT\n"
        f"2. The kernels:\n{_next(Path('ENVIRONMENT'), bundle)}"
    )


def _next(environment: Path, bundle: Path) -> str:
    return f"  {_quoted(environment / 'bin' / 'tfkernels')} install --bundle {_quoted(bundle)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def install(bundle: Path, manifest: contents.Manifest, environment: Path) -> None:
    """Makes a virtual environment with tfkernels, or brings the one that is there up to date."""
    version = ".".join(map(str, sys.version_info[:2]))
    brought = next((one for one in manifest.pythons if one.source == "uv" and one.minor in manifest.own_pythons), None)
    if version not in manifest.own_pythons and brought is None:
        raise BadBundle(
            f"tfkernels can be installed from {bundle} on Python {' or '.join(manifest.own_pythons)}, and this is "
            f"Python {version}. Run it with such a Python: python{manifest.own_pythons[0]} {_quoted(bundle)} "
            f"{_quoted(environment)}"
        )
    names = [*manifest.own_files, *(brought.files if brought else ())]
    with tempfile.TemporaryDirectory(dir=_scratch(environment)) as folder:
        scratch = Path(folder)
        contents.unpack(bundle, scratch, names)
        uv = _program(scratch)
        python = sys.executable
        if version not in manifest.own_pythons and brought is not None:
            python = brought.key
            _run([uv, *python_archives.install_command(brought)], python_archives.described(scratch, manifest))
        if not (environment / "pyvenv.cfg").exists():
            _run([uv, "venv", "--no-config", "--quiet", "--no-project", "--python", python, str(environment)])
        wheels = str(scratch / contents.WHEELS)
        command = [uv, "pip", "install", "--no-config", "--offline", "--no-index", "--find-links", wheels]
        _run([*command, "--quiet", "--python", str(environment), *manifest.own_requirements])


def _scratch(environment: Path) -> Path:
    """A folder on the disk of the environment: programs may run from there, and /tmp may be small."""
    environment.parent.mkdir(parents=True, exist_ok=True)
    return environment.parent


def _program(scratch: Path) -> str:
    """uv, out of its wheel."""
    wheel = next((scratch / contents.WHEELS).glob("uv-*.whl"), None)
    if wheel is None:
        raise BadBundle("The bundle is refused: it has no wheel of uv. Make it again: tfkernels bundle")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        target = scratch / "uv"
        target.write_bytes(archive.read(name))
    target.chmod(0o755)
    return str(target)


def _run(command: list[str], variables: dict[str, str] | None = None) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "VIRTUAL_ENV", "PYTHON"))}
    kept.update({name: os.environ[name] for name in ("UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR") if name in os.environ})
    subprocess.run(command, env={**kept, **(variables or {})}, check=True)
