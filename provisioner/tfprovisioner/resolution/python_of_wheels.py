"""The Python of an environment, where the user's own pins decide it: the preferred one may be too new for them."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from tfprovisioner.catalogue.releases import is_tensorflow
from tfprovisioner.errors import NoInterpreter
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import divided, holding, name_of, without_hashes
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import uv_resolution, without_wheel


def choose(request: InstallRequest, report: Reporter) -> Interpreter:
    """The Python of a request: the preferred one, or one that more of the pinned packages have wheels for.

    Raises ``NoInterpreter``.
    """
    minors = request.python_minors()
    if request.python is not None or request.backend == "conda" or request.locked is not None or len(minors) == 1:
        return request.choose_interpreter()
    lacking = _lacking(_pins(request, minors[0]), minors[0])
    for minor in minors[1:] if lacking else ():
        still = _lacking([pin for pin in _pins(request, minor) if pin in lacking], minor)
        if len(still) < len(lacking):
            wheels = ", ".join(pin for pin in lacking if pin not in still)
            with suppress(NoInterpreter):
                found = replace(request, python=minor).choose_interpreter()
                report.note(f"Python {minor}: it has wheels of {wheels}, and Python {minors[0]} has not")
                return found
    return request.choose_interpreter()


def _pins(request: InstallRequest, python: str) -> list[str]:
    """The user's packages in exact versions, ``numpy==1.16.2``, that hold for a Python."""
    verified = uv_resolution.pinned(request.verified_lock, python) if request.verified_lock else {}
    lines = map(without_hashes, (line for part in divided(request.extras) for line in part))
    pins = (
        f"{name}{requirement.specifier}"
        for _, name, requirement in holding(lines, python)
        if re.fullmatch(r"==[^*,]+", str(requirement.specifier)) and not is_tensorflow(name)
    )
    return [pin for pin in pins if pin.split("==")[1] != verified.get(pin.split("==")[0])]


def _lacking(pins: Iterable[str], python: str) -> list[str]:
    """Those that have no wheel for a Python on this machine."""
    left = list(dict.fromkeys(pins))
    answer = without_wheel.among(left, python)
    lacking = answer.built | answer.unusable
    return [pin for pin in left if name_of(pin) in lacking]
