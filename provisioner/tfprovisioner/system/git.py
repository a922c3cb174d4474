"""The date of a git repository's last commit. Nothing that a repository's settings name is run."""

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from tfprovisioner.errors import Unusable
from tfprovisioner.system import subprocesses

_SAFE = (
    # Settings of a foreign repository that name programs: for changed files, hooks, signatures
    "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false", "--no-pager",
)  # fmt: skip
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def last_commit(folder: Path) -> datetime:
    """When the last commit of the repository that ``folder`` is in was made, in UTC. Raises ``Unusable``."""
    command = ["git", "-C", str(folder), *_SAFE, "log", "-1", "--no-show-signature", "--format=%cI"]
    # In a hook of git, such variables name another repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        with subprocesses.started(command, env={**kept, **_VARIABLES}, stderr=subprocess.PIPE) as process:
            out, err = process.communicate()
    except OSError as error:
        raise Unusable(
            f"The program git cannot be started: {error.strerror}. Give a date: --as-of 2018-11-30"
        ) from error
    if process.returncode or not out.strip():
        cause = err.strip().partition("\n")[0] or "it has no commit"
        raise Unusable(f"The date of the repository in {folder} is unknown: {cause}. Give a date: --as-of 2018-11-30")
    return datetime.fromisoformat(out.strip().replace("Z", "+00:00")).astimezone(timezone.utc)
