"""Installing from a bundle: it is checked and unpacked for as long as the installation takes."""

import hashlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from packaging.utils import parse_sdist_filename, parse_wheel_filename

import tfkernels
from tfprovisioner.bundles import contents, pythons
from tfprovisioner.bundles.contents import BundledPython, Kernel, Manifest
from tfprovisioner.catalogue import releases
from tfprovisioner.environments import store
from tfprovisioner.environments.planned import PlannedPackage
from tfprovisioner.errors import BadBundle, ProvisionError
from tfprovisioner.kernelspecs import install, plan, write
from tfprovisioner.kernelspecs.gc import UNPACKED_BUNDLES as FOLDERS
from tfprovisioner.kernelspecs.plan import Plan
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.lines import without_hashes
from tfprovisioner.requirements.request import USUAL, InstallRequest, made_by
from tfprovisioner.system import locking, subprocesses, uv
from tfprovisioner.system.files import cause


@contextmanager
def opened(
    bundle: Path, asked: Sequence[str], choices: InstallRequest, report: Reporter
) -> Iterator[list[InstallRequest]]:
    """The requests for releases, or for all kernels of a bundle; while the context lasts, uv has the bundle only.

    Nothing is unpacked for kernels that are there.
    ``choices`` has what users may choose: names, places, GPUs. Raises ``ProvisionError``; then nothing was written.
    """
    manifest, pairs = _read(bundle, asked, choices, report)
    name = f"bundle-{hashlib.sha256(str(bundle).encode()).hexdigest()[:8]}"
    new = [kernel for request, kernel in pairs if not _is_there(request)]
    missing = pythons.missing(manifest, {kernel.python for kernel in new})
    parts: list[Kernel | BundledPython] = [*new, *missing]
    names = dict.fromkeys(path for part in parts for path in part.files)
    sizes = {file.path: file.size for file in manifest.files}
    total, done = sum(sizes[path] for path in names), 0

    def advance(size: int) -> None:
        nonlocal done
        subprocesses.check()
        done += size
        report.fetched(done, total)

    with ExitStack() as held:
        held.callback(_restore, dict(os.environ))
        uv.set_sources(offline=True)
        os.environ["UV_NO_INDEX"] = "1"
        if not new:
            report.end()
            yield [request for request, _ in pairs]
            return
        try:
            waiting = "waiting for another tfkernels that installs from the same bundle"
            held.enter_context(locking.held(name, lambda: report.step(waiting)))
            FOLDERS.sweep(name, lambda _: False)  # those of killed installations
            folder = held.enter_context(_temporary(name))
            report.step(f"unpacking {total / 1e6:,.0f} MB and comparing hashes")
            contents.unpack(bundle, folder, names, advance)
        except OSError as error:
            raise ProvisionError(
                f"The bundle could not be unpacked in {FOLDERS.root()}: {cause(error)}. Free some space, or choose "
                f"another folder with the variable TFKERNELS_HOME."
            ) from error
        uv.set_sources(find_links=[folder / contents.WHEELS])
        for python in missing:
            pythons.put_in_place(python, manifest, folder, report)
        report.end()
        yield [_with_lock(request, kernel, folder) if kernel in new else request for request, kernel in pairs]


def _is_there(request: InstallRequest) -> bool:
    """Whether nothing of a bundle is needed for a kernel."""
    with suppress(ProvisionError):  # the installation says it
        completed = install.check(request)[0]
        return (
            not completed.rebuild and store.whole(completed, write.kernels_folder(request) / request.kernel) is not None
        )
    return False


def planned(
    bundle: Path, asked: Sequence[str], choices: InstallRequest, report: Reporter
) -> tuple[list[InstallRequest], Callable[[InstallRequest, Reporter], Plan]]:
    """The same requests, and what plans them. Nothing is unpacked. Raises ``ProvisionError``."""
    manifest, pairs = _read(bundle, asked, choices, report)
    missing = {python.minor: python for python in pythons.missing(manifest, {kernel.python for _, kernel in pairs})}
    sizes = {file.path: file.size for file in manifest.files}
    kernels = {request.kernel: kernel for request, kernel in pairs}

    def built(request: InstallRequest, _: Reporter) -> tuple[Interpreter, list[PlannedPackage]]:
        kernel = kernels[request.kernel]
        python = missing.get(kernel.python)
        interpreter = Interpreter(python.version, None, "bundle") if python else request.choose_interpreter()
        packages = [_package(path, sizes[path]) for path in kernel.files if path != kernel.lock]
        return interpreter, sorted(packages, key=lambda one: one.name)

    report.end()
    return [request for request, _ in pairs], lambda request, report: plan.of(request, report, built)


def _package(path: str, size: int) -> PlannedPackage:
    file = path.rpartition("/")[2]
    name, version = (parse_wheel_filename if file.endswith(".whl") else parse_sdist_filename)(file)[:2]
    return PlannedPackage(name, str(version), "bundle", size=size)


def _read(
    bundle: Path, asked: Sequence[str], choices: InstallRequest, report: Reporter
) -> tuple[Manifest, list[tuple[InstallRequest, Kernel]]]:
    """What a bundle says, and the requests for its kernels. Raises ``ProvisionError``."""
    report.step(f"checking {bundle}")
    manifest = contents.read(bundle)
    contents.check_platform(bundle, manifest, releases.platform_name())
    pairs = _chosen(bundle, manifest, asked)
    if choices.name and len(pairs) > 1:
        releases_there = ", ".join(release for release, _ in pairs)
        raise BadBundle(f"--name {choices.name} is for one kernel, and these are several: {releases_there}. Name one.")
    _check_pythons(bundle, manifest, [kernel for _, kernel in pairs])
    return manifest, [(_request(release, kernel, bundle, manifest, choices), kernel) for release, kernel in pairs]


def _with_lock(request: InstallRequest, kernel: Kernel, folder: Path) -> InstallRequest:
    if not kernel.lock:
        return request
    lock = lock_file.parsed(lock_file.read(folder / kernel.lock), f"{kernel.lock} in the bundle")
    if (lock.release, lock.python) != (kernel.version, kernel.python):
        raise BadBundle(
            f"The bundle is refused: {kernel.lock} in it is for TensorFlow {lock.release} on Python {lock.python}, and "
            f"its manifest says {kernel.version} on Python {kernel.python}."
        )
    return replace(request, resolved=lock.text)


@contextmanager
def _temporary(name: str) -> Iterator[Path]:
    with FOLDERS.built(name) as folder:
        yield folder
        FOLDERS.delete(folder)


def _restore(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _chosen(bundle: Path, manifest: Manifest, asked: Sequence[str]) -> list[tuple[str, Kernel]]:
    """The kernels of a bundle for releases as typed; without any, all."""
    if not asked:
        return [(kernel.release, kernel) for kernel in manifest.kernels]
    found = []
    for release in dict.fromkeys(asked):
        fitting = [kernel for kernel in manifest.kernels if kernel.release == release]
        version = releases.find(release).version
        fitting += [kernel for kernel in manifest.kernels if kernel.version == version]
        if not fitting:
            there = ", ".join(kernel.release for kernel in manifest.kernels)
            raise BadBundle(
                f"The bundle {bundle} has no TensorFlow {version}. It has: {there}. Choose one of these, or make "
                f"another bundle: tfkernels bundle {release}"
            )
        found.append((release, fitting[0]))
    return found


def _request(release: str, kernel: Kernel, bundle: Path, manifest: Manifest, choices: InstallRequest) -> InstallRequest:
    """The request for a kernel. Raises ``BadBundle`` if this tfkernels would take other packages."""
    request = replace(
        choices, release=release, extras=kernel.extras, python=kernel.python,
        backend="uv", gpu=False, bundle=str(bundle),
    )  # fmt: skip
    _check_packages(request, kernel, bundle, manifest)
    former = made_by(write.described_in(write.kernels_folder(request) / request.kernel) or {})
    if former is None:
        return request
    # What a bundle decides is not kept from an earlier installation.
    request = replace(
        request, lock=former.lock and USUAL, as_of=former.as_of and USUAL,
        conda=former.conda and USUAL,
    )  # fmt: skip
    more = [line for line in request.completed(former).extras if line not in kernel.extras]
    if more:
        raise BadBundle(
            f"The bundle {bundle} lacks packages of the kernel {request.kernel}: "
            f"{', '.join(map(without_hashes, more))}. "
            f"Make a bundle with them, or choose another kernel name with --name."
        )
    return request


def _check_pythons(bundle: Path, manifest: Manifest, kernels: Sequence[Kernel]) -> None:
    """Raises ``BadBundle`` if a kernel's Python is neither in the bundle nor here."""
    for kernel in kernels:
        if not pythons.present(kernel.python) and all(one.minor != kernel.python for one in manifest.pythons):
            raise BadBundle(
                f"TensorFlow {kernel.version} needs Python {kernel.python}, which is neither in the bundle {bundle} "
                f"nor on this machine. Install it here, or make the bundle where it can be downloaded: "
                f"tfkernels bundle {kernel.release} --pythons"
            )


def _check_packages(request: InstallRequest, kernel: Kernel, bundle: Path, manifest: Manifest) -> None:
    """Raises ``BadBundle`` if this tfkernels would take other packages than those in the bundle."""
    here = request.catalogue_entry.version
    verified = hashlib.sha256((request.verified_lock or "").encode()).hexdigest()
    if here != kernel.version:  # tf2 is another release in each version of tfkernels
        other = f"takes TensorFlow {here} for {request.release}, and the bundle has {kernel.version}"
    elif not kernel.lock and kernel.verified != verified:
        other = f"takes other packages for TensorFlow {kernel.version}"
    else:
        return
    raise BadBundle(
        f"The bundle {bundle} was made by tfkernels {manifest.tfkernels}. This is {tfkernels.__version__}, and it "
        f"{other}. Use the tfkernels in the bundle: python3 {shlex.quote(str(bundle))} ENVIRONMENT"
    )
