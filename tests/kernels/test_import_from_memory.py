"""The package in another Python that does not have it, from memory."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

from tfkernels.kernel_side import inject

_THERE = """
import base64, os, sys
scope = {"__name__": "tfkernels.kernel_side.inject"}
exec(sys.argv[1], scope)
scope["install"](base64.b64decode(sys.stdin.read()))
import tfkernels, tfkernels.kernel_side.inject, tfkernels.transfer.types.python, tfkernels.errors
import tfkernels.kernel_side.inject
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


def test_it_is_imported_without_touching_the_disk(tmp_path: Path) -> None:
    content = inject.pack()
    assert content == inject.pack()
    from tfkernels import __version__

    subprocess.run(
        [sys.executable, "-I", "-S", "-c", _THERE, inject.source(), __version__],
        input=base64.b64encode(content),
        cwd=tmp_path,
        check=True,
    )
    assert not list(tmp_path.iterdir())
