"""Writing into a notebook's file which kernel it needs, and deleting that."""

from pathlib import Path

from tfkernels.client import kernelspecs
from tfkernels.errors import UnknownKernel
from tfprovisioner.errors import BadNotebook
from tfprovisioner.notebook_metadata import pinned_kernel
from tfprovisioner.notebook_metadata.notebook_file import KEY, PINNED_LATER, NotebookFile, read
from tfprovisioner.notebook_metadata.pinned_kernel import KERNEL, PinnedKernel


def pin(path: Path, kernel: str | None) -> PinnedKernel:
    """Pins a notebook to a kernel, by default to the one it opens on.

    Raises ``BadNotebook``, ``UnknownKernel``, ``ProvisionError``.
    """
    notebook = read(path)
    before = notebook.ours
    name = kernel or notebook.kernel_name
    if kernel is None:
        try:
            ours = kernelspecs.get(name).ours
        except UnknownKernel:
            ours = False
        if not ours:
            raise BadNotebook(
                f"{path} opens on {f'the kernel {name}' if name else 'no kernel'}, which is not one of tfkernels here. "
                f"Name one: tfkernels pin {notebook.quoted} -k KERNEL"
            )
    pinned = pinned_kernel.of_kernel(name)
    if pinned.lock is None and not pinned.verified:
        raise BadNotebook(
            f"{path} was not pinned: the lock of {name} is larger than a notebook may have. Write it to a file: "
            f"tfkernels lock {name} > {name}.lock"
        )
    rest = {field: value for field, value in before.items() if field not in (KERNEL, "format")}
    made = before.get(KERNEL)
    if rest and not (isinstance(made, dict) and made.get("packages") == pinned.packages):
        rest[PINNED_LATER] = True
    notebook.metadata[KEY] = pinned_kernel.entry(pinned, **rest)
    if kernel is not None:
        _set_kernel(notebook, name)
    notebook.save()
    return pinned


def unpin(path: Path) -> bool:
    """Deletes what a notebook says about its kernel; whether it did. Results of ``run`` stay.

    Raises ``BadNotebook``.
    """
    notebook = read(path)
    try:
        rest = notebook.ours
    except BadNotebook:
        rest = {}
    if KEY not in notebook.metadata:
        return False
    pinned = rest.pop(KERNEL, None) is not None or not rest
    rest.pop(PINNED_LATER, None)
    if rest.keys() - {"format"}:
        notebook.metadata[KEY] = rest
    else:
        del notebook.metadata[KEY]
    if pinned:
        notebook.save()
    return pinned


def set_kernel(path: Path, kernel: str) -> None:
    """Has Jupyter open a notebook on a registered kernel. Raises ``BadNotebook``, ``UnknownKernel``."""
    notebook = read(path)
    _set_kernel(notebook, kernel)
    notebook.save()


def _set_kernel(notebook: NotebookFile, kernel: str) -> None:
    spec = kernelspecs.get(kernel).spec
    notebook.metadata["kernelspec"] = {
        "name": kernel,
        "display_name": str(spec.get("display_name", kernel)),
        "language": "python",
    }
