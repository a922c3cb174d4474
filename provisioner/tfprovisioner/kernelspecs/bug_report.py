"""``tfkernels doctor --report``: one text file for a bug report, without secrets."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import tfkernels
from tfkernels import env_vars, log
from tfprovisioner.gpu import devices
from tfprovisioner.kernelspecs import listing
from tfprovisioner.system.data_dir import home
from tfprovisioner.system.redact import redacted

FILE = "tfkernels-report.txt"

_PACKAGES = (
    "tfkernels", "ipykernel", "ipython", "jupyter_client", "jupyter_core", "jupyter_server", "jupyterlab", "notebook",
    "traitlets", "pyzmq", "tornado", "nbformat", "nbclient", "papermill", "numpy", "uv", "filelock", "distributed",
    "debugpy",
)  # fmt: skip
_LOG_FILES = 5
_LOG_BYTES = 200_000
"""Of each file, from its end."""


def write(path: Path, diagnoses: Iterable[str] = ()) -> None:
    """Writes the report to ``path``; ``diagnoses`` are the lines that ``doctor`` printed. Raises ``OSError``."""
    sections = {
        "System": _system(),
        "Packages": _packages(),
        "Settings": _settings(),
        "GPUs": [f"{card.name}, driver {card.driver}" for card in devices.present()] or ["none"],
        "Kernels": _kernels(),
        "Doctor": list(diagnoses),
        "Log of this command": log.recent(),
        **{f"Log file {Path(file).name}": _end_of(file) for file in log.files()[:_LOG_FILES]},
    }
    lines = [f"tfkernels {tfkernels.__version__}, report of {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", *content]
    path.write_text(public("\n".join(lines)) + "\n", encoding="utf-8")


def public(text: str) -> str:
    """``text`` without secrets of URLs, and with ``~`` for the home folder."""
    text = redacted(text)
    home_folder = os.path.expanduser("~")
    return text.replace(home_folder, "~") if len(home_folder) > 1 else text


def _system() -> list[str]:
    free = shutil.disk_usage(_existing(home())).free
    return [
        f"{platform.platform()}, {os.cpu_count()} processors",
        f"Python {platform.python_version()}: {sys.executable}",
        f"data folder: {home()} ({free / 1e9:.1f} GB free)",
    ]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _packages() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name}: not installed")
    return found


def _settings() -> list[str]:
    return [f"{name} = {value} ({origin})" for name, value, _, origin in env_vars.current()]


def _kernels() -> list[str]:
    return [
        f"{row.name}: TensorFlow {row.tensorflow}, Python {row.python}, {row.backend}, {row.state}, {row.environment}"
        for row in listing.kernels()
    ]


def _end_of(file: str) -> list[str]:
    try:
        with open(file, "rb") as source:
            source.seek(max(0, os.path.getsize(file) - _LOG_BYTES))
            return source.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
