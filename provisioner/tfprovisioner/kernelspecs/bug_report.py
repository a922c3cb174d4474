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
from tfprovisioner.system import data_dir
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
        "System": [
            f"{platform.platform()}, {os.cpu_count()} processors",
            f"Python {platform.python_version()}: {sys.executable}",
            f"data folder: {data_dir.home()} ({shutil.disk_usage(data_dir.existing()).free / 1e9:.1f} GB free)",
        ],
        "Packages": [f"{name} {_version(name)}" for name in _PACKAGES],
        "Settings": [f"{name} = {value} ({origin})" for name, value, _, origin in env_vars.current()],
        "GPUs": [f"{card.name}, driver {card.driver}" for card in devices.present()] or ["none"],
        "Kernels": [
            f"{row.name}: TensorFlow {row.tensorflow}, Python {row.python}, {row.backend}, {row.state}, "
            f"{row.environment}"
            for row in listing.kernels()
        ],
        "Doctor": list(diagnoses),
        "Log of this command": log.recent(),
        **{f"Log file {Path(file).name}": _end_of(file) for file in log.files()[:_LOG_FILES]},
    }
    lines = [f"tfkernels {tfkernels.__version__}, report of {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", *content]
    text, home_folder = redacted("\n".join(lines)), os.path.expanduser("~")
    path.write_text((text.replace(home_folder, "~") if len(home_folder) > 1 else text) + "\n", encoding="utf-8")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def _end_of(file: str) -> list[str]:
    try:
        with open(file, "rb") as source:
            source.seek(max(0, os.path.getsize(file) - _LOG_BYTES))
            return source.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
