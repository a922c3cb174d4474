"""The model that a function of the user's makes, as ``--model FILE.py:FUNCTION`` names it."""

import importlib.util
import os
import sys
from typing import Any

from tfkernels.errors import ConversionError


def model_of(function: str) -> Any:
    """What the function of ``FILE.py:FUNCTION`` returns. It is the user's code, and runs as such."""
    file, colon, name = function.rpartition(":")
    if not colon or not name.isidentifier():
        raise ConversionError(
            f"Cannot use --model {function}: give a file and a function without arguments, as in model.py:build."
        )
    if not os.path.isfile(file):
        raise ConversionError(f"Cannot use --model {function}: there is no file {file}.")
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(file))[0], file)
    if spec is None or spec.loader is None:
        raise ConversionError(f"Cannot use --model {function}: {file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)  # where classes of the model look for their module
    folder = os.path.dirname(os.path.abspath(file))
    sys.path.insert(0, folder)  # the file may import its neighbours, as a script does
    try:
        spec.loader.exec_module(module)
        made = getattr(module, name, None)
        if not callable(made):
            raise ConversionError(f"Cannot use --model {function}: {file} has no function {name}.")
        return made()
    finally:
        sys.path.remove(folder)
