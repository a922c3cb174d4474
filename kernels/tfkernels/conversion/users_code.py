"""The Python files that ``--custom-objects`` and ``--model`` name. They run as the user's code."""

import importlib.util
import os
import sys
from typing import Any, Dict, Optional, Tuple

from tfkernels.errors import ConversionError


def custom_objects_in(file: Optional[str]) -> Dict[str, Any]:
    """The public classes and functions of a file by name, and those in a dict ``custom_objects`` if it has one."""
    if not file:
        return {}
    return _objects_in(_run(file, "--custom-objects"))


def _objects_in(module: Any) -> Dict[str, Any]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    found = {name: getattr(module, name, None) for name in names}
    found = {name: value for name, value in found.items() if callable(value)}
    found.update(getattr(module, "custom_objects", None) or {})
    return found


def model_of(function: str) -> Tuple[Any, Dict[str, Any]]:
    """What the function of ``FILE.py:FUNCTION`` returns, as ``--model`` names it, and the file's custom objects."""
    file, colon, name = function.rpartition(":")
    if not colon or not name.isidentifier():
        raise ConversionError(
            f"Cannot use --model {function}: give a file and a function without arguments, as in model.py:build."
        )
    module = _run(file, "--model")
    made = getattr(module, name, None)
    if not callable(made):
        raise ConversionError(f"Cannot use --model {function}: {file} has no function {name}. Correct the name.")
    return made(), _objects_in(module)


def _run(file: str, option: str) -> Any:
    """The module of a Python file. The file may import its neighbours, as a script does."""
    path = os.path.abspath(os.path.expanduser(file))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise ConversionError(f"Cannot use {option} {file}: it is not a Python file. Correct the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)  # where classes look for their module
    sys.path.insert(0, os.path.dirname(path))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConversionError(
            f"Cannot use {option} {file}: it raised {type(error).__name__}: {error}. Correct the file, so that it runs "
            "with this release of TensorFlow."
        ) from error
    finally:
        sys.path.remove(os.path.dirname(path))
    return module
