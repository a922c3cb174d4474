"""What an earlier report on an output says of the order of its kernels, so that a repeated report looks the same."""

import json
from collections.abc import Iterable
from pathlib import Path

from tfprovisioner.batch.report.files import JSON
from tfprovisioner.batch.report.json import FORMAT


def order(folders: Iterable[Path]) -> list[str]:
    """The names of kernels, the baseline's first. Empty without an earlier report."""
    names = []
    for folder in folders:
        try:
            content = json.loads((folder / JSON).read_text(encoding="utf-8"))
            if content["format"] == FORMAT:
                names += [str(kernel["kernel"]) for kernel in content["kernels"]]
        except (OSError, ValueError, LookupError, TypeError):
            continue  # the report does not depend on it
    return list(dict.fromkeys(names))
