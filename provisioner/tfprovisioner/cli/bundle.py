"""The command ``bundle``."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from typer import Argument, Option

from tfprovisioner.cli import install, shared_options
from tfprovisioner.cli.console import answering, megabytes, print_json, print_table, require_extra, say

if TYPE_CHECKING:
    from tfprovisioner.bundles.plan import Plan
    from tfprovisioner.bundles.write import Written


def bundle(
    releases: Annotated[
        list[str] | None,
        Argument(help="tf1, tf2, a release line (2.21) or an exact release (1.15.5).", show_default="tf1 tf2"),
    ] = None,
    output: Annotated[Path, Option("--output", "-o", metavar="FILE", help="The bundle.")] = Path("tf.bundle"),
    extras: Annotated[
        list[str] | None, Option("--with", help="Add packages to each kernel ('matplotlib<3.5,tqdm'); repeatable.")
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE", help="Add the packages of a requirement file; repeatable. Without RELEASES, it chooses one."
        ),
    ] = None,
    platform: Annotated[
        str | None,
        Option(
            help="The other machine: linux-x86_64, linux-aarch64, macos-x86_64 or macos-arm64.",
            show_default="this one's",
        ),
    ] = None,
    python: Annotated[
        str | None, Option(metavar="VERSION", help="Python of the kernels.", show_default="the best for each release")
    ] = None,
    pythons: Annotated[
        bool | None,
        Option(
            "--pythons/--no-pythons",
            help="Include the Pythons of the kernels, or leave them out. --pythons: all, or fail.",
            show_default="those that can be downloaded",
        ),
    ] = None,
    own_pythons: Annotated[
        list[str] | None,
        Option(
            "--tfkernels-on",
            metavar="VERSION",
            help="Python that tfkernels itself can run on there; repeatable.",
            show_default="those of the kernels from 3.10 on, and this Python if the bundle has none of them",
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        Option(
            "--also",
            metavar="PACKAGE",
            help="Package to install with tfkernels itself, such as jupyterlab or 'tfkernels[batch]'; repeatable.",
        ),
    ] = None,
    index: Annotated[
        str | None, Option(metavar="URL", help="Get packages from this index instead of PyPI. The URL is not stored.")
    ] = None,
    find_links: Annotated[
        list[Path] | None, Option(metavar="DIR", help="Also get packages from this folder of wheels; repeatable.")
    ] = None,
    dry_run: shared_options.DryRun = False,
    as_json: shared_options.Json = False,
) -> None:
    """Write one file with all that kernels need without network.

    On the other machine: `python3 tf.bundle ENVIRONMENT`, then `ENVIRONMENT/bin/tfkernels install --bundle tf.bundle`.
    """
    from tfprovisioner.bundles import plan, platforms, write
    from tfprovisioner.catalogue.releases import platform_name
    from tfprovisioner.progress import reporting
    from tfprovisioner.requirements import lines
    from tfprovisioner.requirements.request import InstallRequest
    from tfprovisioner.system import redact, uv

    if requirements:
        require_extra("requirements", "bundle --requirements")
    with answering(), reporting() as reporter_for:
        uv.set_sources(index, find_links or ())
        target = platforms.find(platform or platform_name())
        choices, wanted, content = install.asked(releases or (), extras or (), requirements or (), python)
        for note in (*content.notes, *(choice.reason for choice in choices if choice.reason)):
            say(note)
        first = InstallRequest("", backend="uv", extras=tuple(map(lines.checked, wanted)), gpu=False)
        asked = [replace(first, release=one.release, python=one.python or python) for one in choices]
        requests = list({request.kernel: request for request in asked}.values())
        redact.refuse(first.extras)
        report = reporter_for("bundle")
        output = output.expanduser().absolute()
        write.check_output(output)
        with write.scratch(output, dry_run) as folder:
            planned = plan.plan(requests, target, own_pythons or (), also or (), folder, report, pythons)
            written = None if dry_run else write.write(planned, output, folder, pythons, report)
        report.end()
    if as_json:
        print_json(_document(planned, written))
    elif written is None:
        _print_plan(planned)
    else:
        _print_written(written)
    for minor, cause in (written.absent if written else {}).items():
        say(f"warning: the other machine must have Python {minor}: it is not in the bundle ({cause})")


def _document(planned: "Plan", written: "Written | None") -> dict[str, Any]:
    kernels = [
        {"release": one.release, "version": one.version, "python": one.python, "extras": one.extras}
        for one in planned.kernels
    ]
    document: dict[str, Any] = {
        "platform": planned.platform.name,
        "kernels": kernels,
        "tfkernels_on": planned.own_pythons,
    }
    if written is None:
        files = [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in planned.packages]
        return {**document, "files": files, "size": sum(file.size or 0 for file in planned.packages)}
    return {
        **document,
        "path": str(written.path),
        "size": written.size,
        "sha256": written.sha256,
        "pythons": [one.version for one in written.manifest.pythons],
        "missing_pythons": written.absent,
        "files": written.manifest.files,
    }


def _print_plan(planned: "Plan") -> None:
    print_table(
        ("file", "size", "from"),
        [
            (one.name, f"{(one.size or 0) / 1e6:,.1f} MB", urlsplit(one.url).hostname or "this machine")
            for one in planned.packages
        ],
    )
    total = sum(file.size or 0 for file in planned.packages)
    minors = ", ".join(planned.minors)
    print(f"{len(planned.packages)} files, {megabytes(total)}, for {planned.platform.name}; and Python {minors}.")


def _print_written(written: "Written") -> None:
    manifest = written.manifest
    for kernel in manifest.kernels:
        extras = f", with {', '.join(kernel.extras)}" if kernel.extras else ""
        print(f"{kernel.release}: TensorFlow {kernel.version}, Python {kernel.python}{extras}")
    pythons = ", ".join(python.version for python in manifest.pythons) or "no Python"
    print(f"{written.path}: {megabytes(written.size)}, {manifest.platform}, {pythons}. SHA-256: {written.sha256}")
    name = shlex.quote(written.path.name)
    print(f"On the other machine: python3 {name} ENVIRONMENT")
    print(f"then: ENVIRONMENT/bin/tfkernels install --bundle {name}")
