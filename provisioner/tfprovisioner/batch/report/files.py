"""The report's files. Replaces an earlier report, and no other file."""

from pathlib import Path

from tfprovisioner.batch.report import html, json, junit
from tfprovisioner.batch.report.model import Report
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.files import replace_bytes

_MARKS = {
    "report.html": html.MARK.encode(),
    json.NAME: f'"{json.FORMAT}"'.encode(),
    "junit.xml": f'<testsuites name="{junit.SUITES_NAME}"'.encode(),
}
"""What our files have within their first bytes."""


class NotOurs(ProvisionError):
    """The file in the report's place is not a report."""


def write(report: Report, folder: Path) -> dict[str, Path]:
    """The paths of the files by name. Raises ``NotOurs`` before anything is written, and ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mark in _MARKS.items():
        _check(folder / name, mark)
    contents = {
        "report.html": html.render(report, folder).encode(errors="replace"),
        json.NAME: json.to_bytes(report.document),
        "junit.xml": junit.to_bytes(report),
    }
    for name, content in contents.items():
        replace_bytes(folder / name, content)
    return {name: folder / name for name in contents}


def _check(path: Path, mark: bytes) -> None:
    try:
        with path.open("rb") as file:
            ours = mark in file.read(2000)
    except FileNotFoundError:
        return
    except OSError:
        ours = False
    if not ours:
        raise NotOurs(
            f"Cannot replace {path}: it is not a report of tfkernels. Move it away, or choose another folder with -o."
        )
