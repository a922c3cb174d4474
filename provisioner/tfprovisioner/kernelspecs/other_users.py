"""Whether other users can use a kernel that was registered for them: a umask or a private folder may forbid it."""

import json
import os
import shlex
from pathlib import Path

from tfkernels.client import kernelspecs
from tfkernels.env_vars import PARENT
from tfprovisioner.environments import store
from tfprovisioner.environments.store import Environment
from tfprovisioner.requirements.request import EXISTING, AddRequest, InstallRequest
from tfprovisioner.system import data_dir, files


def warnings(request: InstallRequest | AddRequest, environment: Environment, kernelspec: Path) -> tuple[str, ...]:
    """What others, or their Jupyters, lack to use a kernel; each with what helps."""
    return (*closed(environment, kernelspec, request.user), *_unseen(request, kernelspec))


def closed(environment: Environment, kernelspec: Path, user: bool = False) -> tuple[str, ...]:
    """Why other users may not be able to start a kernel that root registered; empty if they can, or do not see it.

    ``user``: it is registered for root alone, so others see it only if they can read that folder.
    A notebook of root, as in a hosted one or a container, has no other users.
    """
    seen = kernelspec if user else kernelspec.parents[3]  # its prefix
    if os.geteuid() != 0 or PARENT in os.environ or files.closed_to_others(seen):
        return ()
    ours = environment.recipe.backend != EXISTING
    record = [environment.folder / store.FOLDERS.record] * ours
    found = map(files.closed_to_others, [kernelspec / "kernel.json", environment.python, *record])
    shut, programs = {path for path in found if path}, _closed_programs(kernelspec)
    written = (kernelspec.parents[2], data_dir.home())  # where a umask of 077 closes what is written
    elsewhere = sorted(path for path in shut if not any(path.is_relative_to(place) for place in written))
    if elsewhere and ours:
        problem, advice = str(elsewhere[0]), "Install it with TFKERNELS_HOME and --python outside of it."
    elif elsewhere:
        problem, advice = str(elsewhere[0]), "Add an environment outside of it."
    elif programs:
        problem, advice = str(programs[0]), "Install tfkernels outside of it, and the kernel with that."
    elif shut:
        problem = shlex.join(sorted(map(str, shut)))
        advice = f"Open it with: chmod -R go+rX {problem}"
    else:
        return ()
    return (f"other users may not be able to start this kernel: {problem} lets in only its owner and group. {advice}",)


def _closed_programs(kernelspec: Path) -> list[Path]:
    """What keeps others from the files that a ``kernel.json`` names, beside its own folder."""
    argv = json.loads((kernelspec / "kernel.json").read_text(encoding="utf-8"))["argv"]
    paths = [Path(word) for word in argv if os.path.isabs(word) and os.path.exists(word)]
    found = (files.closed_to_others(path) for path in paths if not path.is_relative_to(kernelspec))
    return [path for path in found if path]


def _unseen(request: InstallRequest | AddRequest, kernelspec: Path) -> tuple[str, ...]:
    """The variable that makes Jupyters look into an unusual prefix."""
    if request.prefix is None or kernelspec.parent in kernelspecs.folders():
        return ()
    data = kernelspec.parents[1]
    setting = f"JUPYTER_PATH={shlex.quote(str(data))}"
    return (f"Jupyter does not look into {data}. Set this variable where it starts: {setting}",)
