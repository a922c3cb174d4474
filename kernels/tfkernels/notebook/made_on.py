"""Whether the kernel of a notebook is another one than this.

``tfkernels pin`` and ``run`` write their kernel into the notebook, and Jupyter what a kernel says about itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from tfkernels import env_vars
from tfkernels.client import kernelspecs

_MAX_BYTES = 50_000_000
"""Of a notebook that is read here: a magic should answer at once."""


def remark(variables: Mapping[str, Any]) -> str:
    """A line on the notebook's own kernel, if it is another one; ``variables`` are those of the user."""
    path = _path(variables)
    if not path:
        return "This kernel does not know its notebook. Compare them with: tfkernels doctor NOTEBOOK"
    metadata = _metadata(path)
    made = _made_on(metadata)
    if not made:
        return ""
    spec = kernelspecs.find().get(env_vars.AT_START.get(env_vars.KERNEL, ""))
    now = {} if spec is None else spec.described
    release, python = now.get("tensorflow"), ".".join(map(str, sys.version_info[:2]))
    differing = [f"TensorFlow {release}" if release else "it is not one of tfkernels"] * (made["release"] != release)
    differing += [f"Python {python}"] * (made.get("python", python) != python)
    if not differing and made.get("packages") != now.get("packages") and "packages" in made and "packages" in now:
        differing = ["other packages"]
    if not differing:
        return ""
    python = f", Python {made['python']}" if "python" in made else ""
    return (
        f"{os.path.basename(path)}: {made['how']} {made['name']} (TensorFlow {made['release']}{python}). "
        f"This kernel differs: {', '.join(differing)}. More: tfkernels doctor {shlex.quote(path)}"
    )


def _path(variables: Mapping[str, Any]) -> str:
    """The notebook's file, if it is known here: a Jupyter server says it at the start, VS Code in a variable."""
    for path in (env_vars.AT_START.get("JPY_SESSION_NAME"), variables.get("__vsc_ipynb_file__")):
        if isinstance(path, str) and path.endswith(".ipynb") and os.path.isfile(path):
            return path
    return ""


def _metadata(path: str) -> Mapping[str, Any]:
    """The notebook's metadata; the file may hold anything."""
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            return {}
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    metadata = content.get("metadata") if isinstance(content, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _made_on(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Name, release, Python and packages of the notebook's own kernel; empty if the notebook does not say it."""
    ours, language = _mapping(metadata.get("tfkernels")), _mapping(metadata.get("language_info"))
    pinned, ran = _mapping(ours.get("kernel")), _mapping(language.get("tfkernels"))
    version = re.match(r"\d+\.\d+", str(language.get("version", "")))
    found = {"name": ran.get("kernel"), "release": ran.get("tensorflow"), "python": version and version[0]}
    how = "last saved on"
    if pinned:
        how = "its outputs were made on" if "outcome" in ours and "pinned_later" not in ours else "pinned to"
        found = {field: pinned.get(field) for field in ("name", "release", "python", "packages")}
    short = {field: text for field, text in found.items() if re.fullmatch(r"[\w.-]{1,60}", str(text)) and text}
    return dict(short, how=how) if {"name", "release"} <= set(short) else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
