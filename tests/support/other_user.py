"""Commands of another user, who has no account on this machine, in a mount namespace of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import tfkernels
from tests.support.commands import in_a_mount
from tfprovisioner.system import files

NUMBER = 54321
"""The user's and the group's. Nobody else's, so that limits count this user's processes only."""


def run(
    home: Path, command: Sequence[str], mounts: str = "true", readable: Sequence[Path] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command as the other user, in their ``home``, after the shell commands ``mounts`` of root's.

    They can reach this Python, this checkout and what is ``readable``, also below private folders such as ``/root``.
    """
    home.mkdir(exist_ok=True)
    os.chown(home, NUMBER, NUMBER)
    base = Path(os.path.realpath(sys.executable)).parents[1]
    reached = [base, Path(sys.prefix), Path(tfkernels.__file__).parents[2], home, *readable]
    lowered = ["setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups", "--", *command]
    script = f"set -e\n{_opened(reached)}\ncd {shlex.quote(str(home))}\n{mounts}\nexec {shlex.join(lowered)}"
    own = {"HOME": str(home), "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    own |= dict.fromkeys(("TFKERNELS_HOME", "JUPYTER_DATA_DIR", "XDG_RUNTIME_DIR"), "")
    return in_a_mount(f"unset IPYTHONDIR\n{script}", **{**own, **variables})


def _opened(reached: Sequence[Path]) -> str:
    """A script that puts empty public folders over private ones, with only those folders in them that are reached."""
    lines, private = ["umask 022", "stage=$(mktemp -d)"], dict[Path, list[Path]]()
    for path in reached:
        closed = files.closed_to_others(path)
        if closed is not None:
            private.setdefault(closed, []).append(path)
    for number, (closed, paths) in enumerate(private.items()):
        places = [(shlex.quote(str(path)), f"$stage/{number}-{each}") for each, path in enumerate(paths)]
        lines += [f"mkdir {stage}; mount --bind {path} {stage}" for path, stage in places]
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(closed))}")
        lines += [f"mkdir -p {path}; mount --move {stage} {path}" for path, stage in places]
    return "\n".join(lines)
