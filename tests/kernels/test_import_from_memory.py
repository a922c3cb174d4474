"""The part of the package that a foreign kernel gets, imported from memory in a Python that does not have it."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tfkernels
from tfkernels.kernel_side import inject

_THERE = """
import base64, os, sys
scope = {"__name__": "tfkernels.kernel_side.inject"}
exec(sys.argv[1], scope)
scope["install"](base64.b64decode(sys.stdin.read()))
import tfkernels, tfkernels.kernel_side.inject, tfkernels.transfer.types.python, tfkernels.errors
assert tfkernels.__version__ == sys.argv[2]
assert tfkernels.kernel_side.inject.source() == sys.argv[1]
assert tfkernels.kernel_side.inject.pack() == scope["pack"]() == tfkernels.__spec__.loader.content, "it can be sent on"
try:
    import tfkernels.nonsense
except ImportError as error:
    assert error.name == "tfkernels.nonsense"
else:
    raise AssertionError
try:
    tfkernels.nonsense
except AttributeError:
    import traceback
    assert 'raise AttributeError(f"module' in traceback.format_exc(), "tracebacks show the source"
"""


def there(code: str, *arguments: str, cwd: Path, isolated: bool = True) -> None:
    options = ["-I", "-S"] if isolated else []
    subprocess.run(
        [sys.executable, *options, "-c", code, inject.source(), *arguments],
        input=base64.b64encode(inject.pack()), cwd=cwd, check=True,
    )  # fmt: skip


def test_import_leaves_the_disk_alone(tmp_path: Path) -> None:
    assert inject.pack() == inject.pack()
    there(_THERE, tfkernels.__version__, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def sent() -> list[str]:
    """The names of the modules that are sent."""
    with zipfile.ZipFile(io.BytesIO(inject.pack())) as archive:
        names = [name[: -len(".py")].replace("/", ".") for name in archive.namelist()]
    return sorted(name[: -len(".__init__")] if name.endswith(".__init__") else name for name in names)


def test_only_what_is_called_is_sent(sent: list[str]) -> None:
    parts = {name.split(".")[1] for name in sent if "." in name}
    assert parts == {
        "comparison", "conversion", "debugger", "diagnosis", "env_vars", "errors", "imports", "initialization",
        "kernel_side", "model_comparison", "models", "protocol", "recording", "saved_models", "sigint", "start_notes",
        "training", "transfer",
    }  # fmt: skip
    assert len(inject.pack()) < 600_000


def test_what_cells_can_use_is_sent(sent: list[str]) -> None:
    modules = {getattr(getattr(tfkernels, name), "__module__", None) or "" for name in dir(tfkernels)}
    public = {name for name in modules if name.startswith("tfkernels.")}
    not_sent = public - set(sent)
    assert not_sent == {"tfkernels.client.several_kernels"}, "kernels are called from a kernel that has the package"


_INSTALL = """
import base64, importlib, sys
scope = {"__name__": "tfkernels.kernel_side.inject"}
exec(sys.argv[1], scope)
sys.path = [folder for folder in sys.path if not folder.endswith("kernels")]
scope["install"](base64.b64decode(sys.stdin.read()))
"""
_IMPORT_ALL = """
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert module.__spec__.origin == "<sent by another kernel>", module
"""


def test_what_is_sent_needs_nothing_else(sent: list[str], tmp_path: Path) -> None:
    optional = ("tensorflow", "pandas", "pandas_columns", "pandas_time", "scipy_sparse", "plot")
    names = [name for name in sent if name.rpartition(".")[2] not in optional]
    there(_INSTALL + _IMPORT_ALL, *names, cwd=tmp_path, isolated=False)


_IMPORT_INSTALLED = """
import tfkernels
assert tfkernels.__spec__.origin == "<sent by another kernel>"
from tfkernels.notebook import magic_arguments
assert magic_arguments.__spec__.origin != "<sent by another kernel>"
"""


_IMPORT_NOT_SENT = """
try:
    import tfkernels.client.kernel
except ImportError as error:
    assert "Cannot import tfkernels.client in this kernel" in str(error), error
    assert f"%pip install tfkernels=={sys.argv[2]}" in str(error), error
else:
    raise AssertionError("it was not sent")
"""


def test_modules_that_are_not_sent_say_why(tmp_path: Path) -> None:
    there(_INSTALL + _IMPORT_NOT_SENT, tfkernels.__version__, cwd=tmp_path, isolated=False)


def test_the_rest_comes_from_an_installed_package_of_the_same_release(tmp_path: Path) -> None:
    kernels = str(Path(tfkernels.__path__[0]).parent)
    there(_INSTALL + f"sys.path.append({kernels!r})\n" + _IMPORT_INSTALLED, cwd=tmp_path, isolated=False)
    other = tmp_path / "other" / "tfkernels"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('__version__ = "0"\n')
    code = _INSTALL + f"sys.path.insert(0, {str(other.parent)!r})\nimport tfkernels\nassert tfkernels.__path__ == []\n"
    there(code, cwd=tmp_path, isolated=False)
