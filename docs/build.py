"""Builds the documentation site: ``make docs``. Warnings are errors, and links are checked.

Each version of tfkernels has a folder of the site, and ``versions.json`` beside the folders names them. So a newer
version is added to a published site by building into a copy of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.version import Version
from sphinx.cmd.build import build_main

import tfkernels

_DOCS = Path(__file__).parent
_BUILD = _DOCS.parent / "build" / "docs"
KERNELS = ("tf1", "tf2", "2.15")
"""Releases that cells of pages use."""

_FRONT = """<!doctype html>
<meta charset="utf-8">
<title>tfkernels</title>
<meta http-equiv="refresh" content="0; url={version}/index.html">
<a href="{version}/index.html">tfkernels {version}</a>
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=_BUILD / "site", help="folder of all versions")
    parser.add_argument("--base", default="/", help="address of that folder on its server, such as /tfkernels/")
    parser.add_argument("--no-execute", action="store_true", help="show no outputs, and start no kernel")
    parser.add_argument("--outside-links", action="store_true", help="also check links to other sites")
    parser.add_argument("--fresh", action="store_true", help="execute all cells again")
    options = parser.parse_args()
    if not options.no_execute:
        _install_kernels()
    work = _BUILD / ("without-outputs" if options.no_execute else "with-outputs")
    failed = _build(work, execute=not options.no_execute, fresh=options.fresh)
    if failed:
        return failed
    if not options.no_execute:
        _use_new_pictures(work / "html" / "_images")
    folder = options.site / tfkernels.__version__
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "html", folder)
    write_versions(options.site, options.base)
    inside = [] if options.outside_links else ["--offline"]
    failed = subprocess.run([_program("lychee"), *_LINKS, *inside, str(folder)], check=False).returncode
    if not failed:
        print(f"The site is in {os.path.relpath(options.site)}/index.html")
    return failed


_LINKS = ("--include-fragments=full", "--no-progress", "--quiet", "--exclude-path", "_static")
"""Fragments are checked, too. The theme has templates in its folder."""


def _build(work: Path, *, execute: bool, fresh: bool) -> int:
    cells = [] if execute else ["-D", "nb_execution_mode=off"]
    again = ["--fresh-env"] if fresh else []
    if fresh:
        shutil.rmtree(_BUILD / "executed", ignore_errors=True)
    options = ["-b", "html", "--fail-on-warning", "--keep-going", "--quiet", "-d", str(work / "trees")]
    return build_main([*options, *cells, *again, str(_DOCS), str(work / "html")])


def _use_new_pictures(images: Path) -> None:
    """Replaces the pictures of the pages, which the repository needs, too, by new ones of the same front ends."""
    pictures, test = _BUILD / "pictures", _DOCS.parent / "tests" / "browser" / "test_pictures.py"
    made_of = f"{tfkernels.__version__} {metadata.version('jupyterlab')} {test.read_text(encoding='utf-8')}"
    known = pictures / "made_of"
    pictures.mkdir(parents=True, exist_ok=True)
    if not known.exists() or known.read_text(encoding="utf-8") != made_of:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "slow", str(test)], check=True, cwd=_DOCS.parent)
        known.write_text(made_of, encoding="utf-8")
    for picture in pictures.glob("*.png"):
        if (images / picture.name).exists():
            shutil.copyfile(picture, images / picture.name)


def _install_kernels() -> None:
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for `!tfkernels`
    subprocess.run([_program("tfkernels"), "install", *KERNELS], check=True)


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def write_versions(site: Path, base: str) -> None:
    """For the switcher of each version, and the first page, which leads to the newest one."""
    folders = [path.parent.name for path in site.glob("*/index.html")]
    versions = sorted(folders, key=Version, reverse=True)
    entries = [
        {"name": version, "version": version, "url": f"{base}{version}/", "preferred": version == versions[0]}
        for version in versions
    ]
    (site / "versions.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    (site / "index.html").write_text(_FRONT.format(version=versions[0]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
