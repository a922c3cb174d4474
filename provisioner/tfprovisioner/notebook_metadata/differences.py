"""Which kernel made the outputs of a notebook, and how the kernel that it opens on differs from that one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkernels.client import kernelspecs
from tfkernels.errors import UnknownKernel
from tfprovisioner.environments.lock_file import Lock
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import locks
from tfprovisioner.notebook_metadata import pinned_kernel, wanted_kernel
from tfprovisioner.notebook_metadata.notebook_file import read

_SHOWN = 12
"""Packages that are named."""


@dataclass(frozen=True)
class NotebookDiagnosis:
    """The kernels of a notebook."""

    notebook: str
    ok: bool
    made_on: str | None
    """The kernel that the notebook was pinned to or run on; ``None`` if it does not say."""
    opens_on: str | None
    """The kernel that Jupyter opens it on; ``None`` if it names none that is registered."""
    differences: tuple[str, ...] = ()
    """How the second kernel differs from the first."""
    remedy: str | None = None


def examine(path: Path) -> NotebookDiagnosis:
    """Reads a notebook and compares kernels; nothing is started. Raises ``BadNotebook``."""
    notebook = read(path)
    pinned, ran = pinned_kernel.pinned(notebook), wanted_kernel.ran_on(notebook)
    if pinned is None and not ran.get("tensorflow"):
        return NotebookDiagnosis(str(path), True, None, notebook.kernel_name or None)
    made = {"tensorflow": pinned.release, "python": pinned.python} if pinned else ran
    made_on = f"{pinned.name if pinned else ran.get('kernel', '')} ({_versions(made)})"
    try:
        spec = kernelspecs.get(notebook.kernel_name)
    except UnknownKernel:
        problem = f"its kernel {notebook.kernel_name!r} is not registered here"
        return NotebookDiagnosis(str(path), False, made_on, None, (problem,), f"tfkernels install {notebook.quoted}")
    if not spec.ours:
        problem = f"the kernel {spec.name} is not one of tfkernels"
        return NotebookDiagnosis(str(path), False, made_on, spec.name, (problem,), f"tfkernels open {notebook.quoted}")
    now = {"tensorflow": spec.described["tensorflow"], "python": ".".join(spec.described["python"].split(".")[:2])}
    titles = {"tensorflow": "TensorFlow", "python": "Python"}
    found = [
        f"{titles[key]} {now[key]} instead of {made[key]}" for key in titles if now[key] != made.get(key, now[key])
    ]
    if pinned is not None:
        try:
            found += _packages(pinned.whole_lock(path), spec.name)
        except ProvisionError as error:
            found.append(f"packages could not be compared: {error}")
    remedy = f"tfkernels open {notebook.quoted}" if found else None
    return NotebookDiagnosis(str(path), not found, made_on, f"{spec.name} ({_versions(now)})", tuple(found), remedy)


def _versions(kernel: dict[str, str]) -> str:
    named = {"TensorFlow": kernel.get("tensorflow"), "Python": kernel.get("python")}
    return ", ".join(f"{title} {version}" for title, version in named.items() if version)


def _packages(wanted: Lock, name: str) -> Iterator[str]:
    """The packages of a kernel that differ from a lock, and what was changed by hand."""
    lock, environment = locks.of_kernel(name)
    then, now = ({pin.partition("==")[0]: pin.partition("==")[2] for pin in each.chosen} for each in (wanted, lock))
    changed = [f"{one} {now[one]} instead of {then[one]}" for one in then if one in now and now[one] != then[one]]
    changed += [f"{one} {then[one]} is missing" for one in then if one not in now]
    changed += [f"{one} {now[one]} is new" for one in now if one not in then]
    yield from changed[:_SHOWN]
    if changed[_SHOWN:]:
        yield f"{len(changed) - _SHOWN} more packages differ"
    yield from locks.changes(environment)
