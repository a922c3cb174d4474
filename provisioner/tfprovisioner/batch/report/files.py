"""The report's files. What is there already is replaced if it is a report of ours, and left alone otherwise."""

import json
from collections.abc import Callable
from pathlib import Path

from tfprovisioner.batch.report import html, junit
from tfprovisioner.batch.report.json import FORMAT, document
from tfprovisioner.batch.report.model import Report
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.files import replace_bytes

HTML, JSON, XML = "report.html", "report.json", "junit.xml"
FILES = (HTML, JSON, XML)

_BEGINNINGS = {HTML: html.MARK.encode(), JSON: f'"{FORMAT}"'.encode(), XML: f'<testsuites name="{junit.NAME}"'.encode()}
"""What ours have within their first bytes."""


class NotOurs(ProvisionError):
    """A file stands where the report would go, and is none."""


def write(report: Report, folder: Path) -> dict[str, Path]:
    """The paths of the files by name. Raises ``NotOurs``, before anything is written, and ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, beginning in _BEGINNINGS.items():
        _check(folder / name, beginning)
    made = document(report, folder)
    makers: dict[str, Callable[[], bytes]] = {
        JSON: lambda: json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n",
        XML: lambda: junit.junit(report, folder),
        HTML: lambda: html.render(report, folder, made["created"]).encode(errors="replace"),
    }
    for name, content in [(name, make()) for name, make in makers.items()]:
        replace_bytes(folder / name, content)
    return {name: folder / name for name in FILES}


def _check(path: Path, beginning: bytes) -> None:
    try:
        with path.open("rb") as file:
            ours = beginning in file.read(2000)
    except FileNotFoundError:
        return
    except OSError:
        ours = False
    if not ours:
        raise NotOurs(
            f"{path} is not a report of tfkernels, and is not replaced. Move it away, or choose another folder with -o."
        )
