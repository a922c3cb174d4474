"""Hosted notebooks: tfkernels fits beside their packages, and their shells keep what is theirs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from packaging.requirements import Requirement
from traitlets.config import Config

import tfkernels
from tests.support.hosted_images import IMAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def named(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@pytest.mark.parametrize("image", IMAGES)
def test_bounds_admit_what_images_pin(image: str) -> None:
    python, pins = IMAGES[image]
    pinned = {named(name): version for name, _, version in (pin.partition("==") for pin in pins)}
    admitted = set()
    for text in tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"]:
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"python_version": python}):
            version = pinned.get(named(needed.name))
            assert version is None or needed.specifier.contains(version), f"pip would replace {needed.name} {version}"
            admitted.add(named(needed.name))
    assert admitted - pinned.keys() <= {"findpython", "papermill", "uv"}, "what an image gets beside its own"


class HostedShell(InteractiveShell):
    """A shell with methods, magics and hooks of a service's own."""

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        self.called = magic_name
        return super().run_cell_magic(magic_name, line, cell or " ")


def of_service(shell: Any) -> dict[str, Any]:
    """All that a service may have changed in its shell, with the objects themselves."""
    return {
        **{f"{kind} {name}": one for kind, table in shell.magics_manager.magics.items() for name, one in table.items()},
        **{f"{event} {n}": hook for event, hooks in shell.events.callbacks.items() for n, hook in enumerate(hooks)},
        **{f"{mime} {kind}": how for mime, one in shell.display_formatter.formatters.items()
           for kind, how in [*one.type_printers.items(), *one.deferred_printers.items()]},
        **{f"transformer {n}": one for n, one in enumerate(shell.input_transformers_cleanup)},
        "errors": (shell.custom_exceptions, shell.CustomTB),
        "traceback": shell._showtraceback.__func__,
        "system": shell.system.__func__,
    }  # fmt: skip


def test_a_services_magics_and_hooks_stay() -> None:
    shell = HostedShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.register_magic_function(lambda line: line, "line", "pip")
    shell.register_magic_function(lambda line: line, "line", "tensorflow_version")
    shell.register_magic_function(lambda line, cell: cell, "cell", "each")
    shell.events.register("pre_run_cell", lambda info: None)
    shell.set_custom_exc((ImportError,), lambda shell, kind, error, trace, tb_offset=None: None)
    shell.display_formatter.formatters["text/html"].for_type(set, repr)
    theirs = of_service(shell)
    tfkernels.load_ipython_extension(shell)
    try:
        shell.run_cell("pass")
        loaded = of_service(shell)
        assert [name for name, thing in theirs.items() if loaded.get(name) != thing] == []
        assert "line tfkernels" in loaded
        shell.run_cell("%%each tf1\n1")
        assert shell.called == "each", "the service's own"
        assert shell.last_execution_result.result == "1\n"
    finally:
        tfkernels.unload_ipython_extension(shell)
    assert of_service(shell).keys() == theirs.keys()
