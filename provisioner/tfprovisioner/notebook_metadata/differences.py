"""Which kernel is a notebook's own, and how the kernel that it opens on differs from that one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfkernels.client import kernelspecs
from tfkernels.errors import UnknownKernel
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import locks
from tfprovisioner.notebook_metadata import pinned_kernel, wanted_kernel
from tfprovisioner.notebook_metadata.notebook_file import PINNED_LATER, NotebookFile, read
from tfprovisioner.notebook_metadata.pinned_kernel import PinnedKernel
from tfprovisioner.requirements.lock_file import Lock

_SHOWN = 12
"""Packages that are named."""


RUN, PIN, JUPYTER = "its outputs were made on", "pinned to", "last saved on"
"""How a notebook says which kernel is its own: ``run`` wrote that, or ``pin``, or Jupyter when it saved the file."""


@dataclass(frozen=True)
class NotebookDiagnosis:
    """The kernels of a notebook."""

    notebook: str
    ok: bool
    said_by: str | None
    """``RUN``, ``PIN`` or ``JUPYTER``; ``None`` if the notebook names no kernel of tfkernels."""
    kernel: str | None
    """The kernel that it says."""
    opens_on: str | None
    """The kernel that Jupyter opens it on; ``None`` if it names none that is registered."""
    differences: tuple[str, ...] = ()
    """How the second kernel differs from the first."""
    remedy: str | None = None


def examine(path: Path) -> NotebookDiagnosis:
    """Reads a notebook and compares kernels; nothing is started. Raises ``BadNotebook``."""
    notebook = read(path)
    ours, pinned, ran = notebook.ours, pinned_kernel.pinned(notebook), wanted_kernel.ran_on(notebook)
    if pinned is None and not ran.get("tensorflow"):
        known = notebook.kernel_name in kernelspecs.python_kernels()
        return NotebookDiagnosis(str(path), True, None, None, notebook.kernel_name if known else None)
    own = {"kernel": pinned.name, "tensorflow": pinned.release, "python": pinned.python} if pinned else ran
    said_by = JUPYTER if pinned is None else RUN if "outcome" in ours and PINNED_LATER not in ours else PIN
    opens_on, found = _opened(notebook, pinned, own)
    if pinned is not None and ran.get("tensorflow", pinned.release) != pinned.release:
        found.append(f"Jupyter saved it on {_title(ran)}, so outputs may be of that kernel")
    advice = "open" if opens_on else "install"
    remedy = f"tfkernels {advice} {notebook.quoted}" if found else None
    return NotebookDiagnosis(str(path), not found, said_by, _title(own), opens_on, tuple(found), remedy)


def _opened(
    notebook: NotebookFile, pinned: PinnedKernel | None, own: Mapping[str, str]
) -> tuple[str | None, list[str]]:
    """The kernel that a notebook opens on, and how it differs from its own."""
    try:
        spec = kernelspecs.get(notebook.kernel_name)
    except UnknownKernel:
        return None, [f"its kernel {notebook.kernel_name!r} is not registered here"]
    if not spec.ours:
        return spec.name, [f"the kernel {spec.name} is not one of tfkernels"]
    python = ".".join(spec.described["python"].split(".")[:2])
    now = {"kernel": spec.name, "tensorflow": spec.described["tensorflow"], "python": python}
    titles = {"tensorflow": "TensorFlow", "python": "Python"}
    differing = [field for field in titles if now[field] != own.get(field, now[field])]
    found = [f"{titles[field]} {now[field]} instead of {own[field]}" for field in differing]
    if pinned is not None:
        try:
            found += _packages(pinned.whole_lock(notebook.path), spec.name)
        except ProvisionError as error:
            found.append(f"packages could not be compared: {error}")
    return _title(now), found


def _title(kernel: Mapping[str, str]) -> str:
    named = {"TensorFlow": kernel.get("tensorflow"), "Python": kernel.get("python")}
    versions = ", ".join(f"{title} {version}" for title, version in named.items() if version)
    return f"{kernel.get('kernel') or 'a kernel'} ({versions})"


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
