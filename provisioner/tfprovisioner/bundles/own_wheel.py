"""The wheel of tfkernels itself, of the very code that runs."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tfprovisioner.errors import BuildFailed
from tfprovisioner.system import uv

_LEFT_OUT = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""In the folder of an installed distribution: what its installer wrote."""

_EPOCH = (2020, 1, 1, 0, 0, 0)


def make(folder: Path, say: Callable[[str], None]) -> Path:
    """Writes the wheel to a folder: built from a checkout, or made of the installed files. Raises ``BuildFailed``."""
    installed = distribution("tfkernels")
    checkout = _checkout(installed)
    if checkout is None:
        return _repacked(installed, folder)
    uv.run(["build", "--wheel", "--out-dir", str(folder), str(checkout)], folder, say)
    return next(folder.glob("tfkernels-*.whl"))


def _checkout(installed: Distribution) -> Path | None:
    """The folder that it runs from, if it was installed as editable."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    editable = origin.get("dir_info", {}).get("editable", False)
    return Path(unquote(urlsplit(origin["url"]).path)) if editable else None


def _repacked(installed: Distribution, folder: Path) -> Path:
    """A wheel of the files of an installed distribution. Its scripts are written again where it is installed."""
    target = folder / f"tfkernels-{installed.version}-py3-none-any.whl"
    record, info = [], ""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(installed.files or (), key=str):
            inside = str(file)
            if file.parts[0] == ".." or file.suffix == ".pyc" or file.name in _LEFT_OUT:
                continue
            try:
                content = file.read_binary()
            except OSError as error:
                raise BuildFailed(
                    f"tfkernels itself cannot be put into a bundle: {error.strerror} ({error.filename}). Install it "
                    f"again: pip install --force-reinstall tfkernels"
                ) from error
            info = file.parts[0] if file.parts[0].endswith(".dist-info") else info
            archive.writestr(_entry(inside), content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(content)}\n")
        archive.writestr(_entry(f"{info}/RECORD"), "".join([*record, f"{info}/RECORD,,\n"]), zipfile.ZIP_DEFLATED)
    return target


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    return entry
