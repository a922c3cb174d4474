"""The kernel that a notebook wants on this machine: its name, and the request that makes it."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.catalogue import releases
from tfprovisioner.errors import BadNotebook, UnknownRelease
from tfprovisioner.kernelspecs import health, locks, write
from tfprovisioner.notebook_metadata import pinned_kernel
from tfprovisioner.notebook_metadata.notebook_file import NotebookFile
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import EXISTING, InstallRequest, made_by

_SHOWN = 8
"""Packages that are named."""


@dataclass(frozen=True)
class WantedKernel:
    """What a notebook wants, and how to have it here."""

    notebook: NotebookFile
    request: InstallRequest
    """It makes the kernel; it changes nothing if the kernel is there."""
    registered: bool
    """Whether the kernel is there."""
    ready: bool
    """Whether it works, too, and has the options that were asked for."""
    description: str
    """What the notebook wants, in one line."""

    @property
    def name(self) -> str:
        return self.request.kernel

    @property
    def command(self) -> str:
        """The command that makes it."""
        place = f" --prefix {shlex.quote(self.request.prefix)}" if self.request.prefix else ""
        builds = " --no-only-binary" if self.request.only_binary is False else ""
        user = " --user" * self.request.user
        return f"tfkernels install {self.notebook.quoted} --name {self.name}{user}{place}{builds}"

    @property
    def packages(self) -> tuple[InstallRequest, str]:
        """Equal for notebooks that one kernel serves."""
        return replace(self.request, lock=None), self.request.locked.fingerprint if self.request.locked else ""

    @property
    def added(self) -> KernelSpec | None:
        """The kernel, if it is of an environment that the user added: tfkernels does not install it."""
        spec = kernelspecs.find().get(self.name)
        return spec if spec is not None and spec.described["backend"] == EXISTING else None

    @property
    def opens(self) -> bool:
        """Whether Jupyter opens the notebook on it."""
        return self.notebook.kernel_name == self.name


def wanted(notebook: NotebookFile, template: InstallRequest) -> WantedKernel:
    """The kernel for a notebook; ``template`` has the user's options, such as a name.

    Raises ``BadNotebook``, ``BadLock``, ``UnknownRelease``.
    """
    pinned = pinned_kernel.pinned(notebook)
    if pinned is None:
        return _of_names(notebook, template)
    lock = pinned.whole_lock(notebook.path)
    name, registered = (template.name, False) if template.name else locks.kernel_name(lock, pinned.name)
    assert name is not None
    ready = False
    if registered:
        request, ready = _of_registered(name, template)
    elif pinned.verified:  # an ordinary kernel of the release: packages can be added later
        request = replace(
            template, release=_asked(name, lock.release), name=name, python=template.python or lock.python
        )
        request = replace(request, gpu=lock.gpu)
    else:
        python = template.python or lock.python
        request = replace(template, release=lock.release, name=name, python=python, lock=lock.file())
    by_hand = f"; there it was changed by hand: {', '.join(pinned.changes)}" if pinned.changes else ""
    return WantedKernel(notebook, request, registered, ready, f"{_described(lock)}{by_hand}")


def wanted_by_all(notebooks: Sequence[NotebookFile], template: InstallRequest) -> list[WantedKernel]:
    """The kernels for notebooks. Raises what ``wanted`` raises, also if two want different kernels of one name."""
    found = [wanted(notebook, template) for notebook in notebooks]
    first: dict[str, WantedKernel] = {}
    for one in found:
        other = first.setdefault(one.name, one)
        if other.packages != one.packages:
            raise BadNotebook(
                f"{other.notebook.path} and {one.notebook.path} want different kernels, both called {one.name}. "
                f"Install the kernel of each notebook with a command of its own: the second gets another name"
            )
    return found


def registered(notebook: NotebookFile) -> str:
    """The name of the registered kernel that a notebook wants. Raises ``BadNotebook`` if there is none."""
    found = wanted(notebook, InstallRequest(""))
    if not found.registered:
        raise BadNotebook(
            f"{notebook.path} wants {found.description}, and no such kernel is installed. Install it with: tfkernels "
            f"install {notebook.quoted}"
        )
    return found.name


def _of_registered(name: str, template: InstallRequest) -> tuple[InstallRequest, bool]:
    """The request for a kernel that is there, and whether nothing has to be done for it."""
    spec = kernelspecs.get(name)
    own = made_by(spec.described)
    made = own or InstallRequest(spec.described["tensorflow"])  # of the user's own environment
    elsewhere = not (write.kernels_folder(template) / name / "kernel.json").exists()
    if (template.user or template.prefix) and elsewhere and own is not None:
        return replace(own, name=name, user=template.user, prefix=template.prefix, rebuild=template.rebuild), False
    user = spec.folder.parent == write.kernels_folder(InstallRequest("", user=True))
    request = InstallRequest(  # all else is kept
        made.release, name, user, template.rebuild, prefix=None if user else made.prefix, devices=template.devices,
        only_binary=template.only_binary,
    )  # fmt: skip
    new = template.rebuild or template.devices not in (None, made.devices)
    new = new or template.only_binary not in (None, made.only_binary)
    return request, not new and health.look(spec.spec["argv"], spec.described)[1] is None


def _asked(name: str, release: str) -> str:
    """The release as users name it (``tf1``), if the kernel's name means it: they may install that again."""
    try:
        return name if releases.find(name).version == release else release
    except UnknownRelease:
        return release


def _described(lock: Lock) -> str:
    beyond = lock.beyond_verified
    more = f", and {len(beyond) - _SHOWN} more" if beyond[_SHOWN:] else ""
    named = f": {', '.join(beyond[:_SHOWN])}{more}" if beyond else ""
    packages = f"{len(lock.chosen)} packages, {len(beyond) or 'none'} of them beyond the tested set{named}"
    return f"TensorFlow {lock.release} ({lock.tensorflow.name}), Python {lock.python}, {packages}"


def _of_names(notebook: NotebookFile, template: InstallRequest) -> WantedKernel:
    """By the release of the kernel that it ran on, or by the kernel's name: it is not pinned."""
    ran = ran_on(notebook)
    named = template.name or ran.get("kernel") or notebook.kernel_name
    release = ran.get("tensorflow") or named
    try:
        found = releases.find(release) if release.startswith(("tf", "1.", "2.")) else None
    except UnknownRelease:
        found = None
    if found is None:
        raise BadNotebook(
            f"{notebook.path} does not say which kernel of tfkernels it needs. Pin it where it runs: tfkernels pin "
            f"{notebook.quoted} -k KERNEL"
        )
    name = named if template.name or locks.usable(named) else releases.kernel_name(release)
    known, ready = kernelspecs.find().get(name), False
    registered = known is not None and known.described["tensorflow"] == found.version
    python = template.python or ran.get("python")
    request = replace(template, release=_asked(name, found.version), name=name, python=python)
    if registered:
        request, ready = _of_registered(name, template)
    description = f"TensorFlow {found.version}{f', Python {python}' if python else ''}; it is not pinned to packages"
    return WantedKernel(notebook, request, registered, ready, description)


def ran_on(notebook: NotebookFile) -> dict[str, str]:
    """``kernel``, ``tensorflow`` and ``python`` of the kernel of ours that Jupyter last ran the notebook on, if any.

    Our kernels say it to Jupyter, which keeps it in the notebook.
    """
    language = notebook.language
    said = language.get("tfkernels")
    told: Mapping[str, Any] = said if isinstance(said, dict) else {}
    version = re.match(r"3\.\d{1,2}(?=\.|$)", str(language.get("version", ""))[:20])
    checked = {
        "kernel": re.fullmatch(write.NAME, str(told.get("kernel", ""))),
        "tensorflow": re.fullmatch(r"\d[\d.]{1,20}(post\d)?", str(told.get("tensorflow", ""))),
        "python": version if told else None,
    }
    return {field: found[0] for field, found in checked.items() if found}
