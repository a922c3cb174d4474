"""The model that a function of the user's makes, as ``--model FILE.py:FUNCTION`` names it."""

from typing import Any

from tfkernels.conversion.users_code import run_file
from tfkernels.errors import ConversionError


def model_of(function: str) -> Any:
    """What the function of ``FILE.py:FUNCTION`` returns. It is the user's code, and runs as such."""
    file, colon, name = function.rpartition(":")
    if not colon or not name.isidentifier():
        raise ConversionError(
            f"Cannot use --model {function}: give a file and a function without arguments, as in model.py:build."
        )
    made = getattr(run_file(file, "--model"), name, None)
    if not callable(made):
        raise ConversionError(f"Cannot use --model {function}: {file} has no function {name}. Correct the name.")
    return made()
