"""One script on one kernel: what is started for it, and what its end says. Nothing is started here."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.process import ending
from tfprovisioner.batch.outcomes import FAILED, PASSED, Failure, Outcome, host, plain
from tfprovisioner.batch.runs import Run
from tfprovisioner.environments import store
from tfprovisioner.errors import Unusable
from tfprovisioner.kernelspecs import python_shim, run_env

_RAISED = re.compile(r"(?m)^(Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+)([A-Za-z_][\w.]*)(?::[ ](.*))?$")
"""A traceback of Python's, the exception's name and the first line of its message."""


class NoScript(Unusable):
    """There is no such file."""


@dataclass(frozen=True)
class Script:
    """What one run of a script consists of."""

    run: Run
    command: tuple[str, ...]
    variables: Mapping[str, str]
    fingerprint: str
    tensorflow: str
    python: str
    lock: str

    def outcome(self, status: int, started: str, seconds: float, said: str) -> Outcome:
        """``status`` is an exit code, or a signal's number below 0; ``said`` the end of its standard error."""
        return Outcome(
            self.run, FAILED if status else PASSED, self.fingerprint, self.tensorflow, self.python, self.lock,
            started, round(seconds, 3), host(), failure=_failure(status, plain(said)) if status else None,
            exit_code=status,
        )  # fmt: skip


def planned(runs: Sequence[Run], arguments: Sequence[str]) -> list[Script]:
    """What has to be started for the runs, with the same words after each script's name.

    Raises ``NoScript``, ``UnknownKernel``, ``BrokenEnvironment``.
    """
    return [_planned(run, arguments) for run in runs]


def _planned(run: Run, arguments: Sequence[str]) -> Script:
    spec = kernelspecs.get(run.kernel)
    variables = run_env.variables(spec)
    # Lines are to appear as they are printed, and are read as UTF-8.
    variables |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        content = Path(run.source).read_bytes()
    except OSError as error:
        raise NoScript(f"the script {run.source} cannot be read: {error.strerror}") from error
    described: dict[str, Any] = (spec.spec.get("metadata") or {}).get("tfkernels", {})
    environment = store.load(Path(described.get("environment", ""))) if spec.ours else None
    lock = environment.recipe.lock if environment else ""
    exact = lock or python_shim.behind(spec.spec["argv"], described)
    kernel = [described.get("tensorflow"), described.get("python"), exact]
    decided = [hashlib.sha256(content).hexdigest(), list(arguments), kernel]
    return Script(
        run,
        (run_env.python(spec), run.source, *arguments),
        variables,
        hashlib.sha256(json.dumps(decided).encode()).hexdigest(),
        described.get("tensorflow", ""),
        described.get("python", ""),
        lock,
    )


def _failure(status: int, said: str) -> Failure:
    raised = list(_RAISED.finditer(said)) if status == 1 else []
    if raised:
        found = raised[-1]
        return Failure(found[2].rpartition(".")[2], found[3] or "", traceback=said[found.start() :].rstrip())
    kind = "ExitCode" if status > 0 else "Signal"
    return Failure(kind, f"the script {ending(status)}", traceback="\n".join(said.rstrip().splitlines()[-20:]))
