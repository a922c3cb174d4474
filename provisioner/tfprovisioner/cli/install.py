"""The command ``install``."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Exit, Option

from tfprovisioner.cli import install_output, notebooks, shared_options
from tfprovisioner.cli.carry_out import carry_out
from tfprovisioner.cli.console import INTERRUPTED, answering, require_extra, say

if TYPE_CHECKING:
    from tfprovisioner.catalogue.releases import Release
    from tfprovisioner.requirements.chosen_release import Choice
    from tfprovisioner.requirements.file_content import Content
    from tfprovisioner.requirements.request import InstallRequest


_PACKAGES, _SOURCES, _GPUS, _CONDA = "Packages", "Sources of packages", "GPUs", "Conda"
"""Groups of options, in the order of the help page."""


class Backend(str, Enum):
    """The values of ``--backend``: the names in ``backends.BACKENDS``."""

    uv = "uv"
    conda = "conda"


def install(
    releases: Annotated[
        list[str] | None,
        Argument(
            help="tf1, tf2, a release line (2.21), an exact release (1.15.5), or a notebook that says what it needs.",
            show_default="tf1 tf2",
        ),
    ] = None,
    name: shared_options.Name = None,
    python: Annotated[
        str | None,
        Option(
            metavar="VERSION|PATH",
            help="Python of the environment. `usual`: the best one that is found or downloaded.",
        ),
    ] = None,
    rebuild: Annotated[
        bool, Option("--rebuild", help="Build the environment again, even if it works. Running kernels continue.")
    ] = False,
    user: shared_options.User = False,
    prefix: shared_options.Prefix = None,
    extras: Annotated[
        list[str] | None,
        Option("--with", help="Add packages ('matplotlib<3.5,tqdm'); repeatable.", rich_help_panel=_PACKAGES),
    ] = None,
    without: Annotated[
        list[str] | None,
        Option(help="Remove a package that you added with --with; repeatable.", rich_help_panel=_PACKAGES),
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE",
            help="Add the packages of a requirement file, pyproject.toml or environment.yml; repeatable. "
            "Without RELEASES, the file chooses one.",
            rich_help_panel=_PACKAGES,
        ),
    ] = None,
    relax: Annotated[
        bool,
        Option(
            "--relax",
            help="If requirements conflict, propose the smallest change, and ask.",
            rich_help_panel=_PACKAGES,
        ),
    ] = False,
    as_of: Annotated[
        str | None,
        Option(
            metavar="DAY|git",
            help="Packages that pip would have installed on a day (2018-11-30). git: the day of the last commit, in "
            "the repository of --requirements or of this folder. `usual`: the tested packages.",
            rich_help_panel=_PACKAGES,
        ),
    ] = None,
    lock: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="Exactly the packages and the release of a lock (tfkernels lock). `usual`: no lock.",
            rich_help_panel=_PACKAGES,
        ),
    ] = None,
    only_binary: shared_options.OnlyBinary = None,
    index: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="Get packages from this index instead of PyPI. The URL is not stored.",
            rich_help_panel=_SOURCES,
        ),
    ] = None,
    find_links: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR", help="Also get packages from this folder of wheels; repeatable.", rich_help_panel=_SOURCES
        ),
    ] = None,
    offline: Annotated[
        bool,
        Option("--offline", help="Use uv's cache and --find-links only, no network.", rich_help_panel=_SOURCES),
    ] = False,
    bundle: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Take everything from a bundle (tfkernels bundle). Without RELEASES: all of its kernels.",
            rich_help_panel=_SOURCES,
        ),
    ] = None,
    gpu: Annotated[
        bool | None,
        Option(
            "--gpu/--no-gpu",
            help="Add CUDA's libraries, for NVIDIA GPUs (Linux x86-64).",
            show_default=False,
            rich_help_panel=_GPUS,
        ),
    ] = None,
    devices: Annotated[
        str | None,
        Option(
            metavar="0,1",
            help="GPUs that the kernel sees: numbers as in nvidia-smi, all, or none.",
            rich_help_panel=_GPUS,
        ),
    ] = None,
    backend: Annotated[
        Backend | None,
        Option(
            help="uv: wheels from the package index. conda: packages from conda channels.",
            show_default="uv",
            rich_help_panel=_CONDA,
        ),
    ] = None,
    channels: Annotated[
        list[str] | None,
        Option(
            "--channel",
            help="Conda channel, by name or URL; repeatable, the first has priority. Pythons that uv lacks come from "
            "it, too. `defaults` has terms that restrict companies.",
            show_default="conda-forge",
            rich_help_panel=_CONDA,
        ),
    ] = None,
    conda_exe: Annotated[
        str | None,
        Option(metavar="PATH", help="Your own conda, mamba or micromamba. `usual`: none.", rich_help_panel=_CONDA),
    ] = None,
    yes: shared_options.Yes = False,
    dry_run: shared_options.DryRun = False,
    as_json: shared_options.Json = False,
) -> None:
    """Build environments and register their kernels. Kernels that exist already are kept.

    Options you leave out keep the values of the last install.
    """
    from tfprovisioner.requirements import chosen_release
    from tfprovisioner.requirements.request import USUAL, InstallRequest, lasting
    from tfprovisioner.resolution import as_of as days
    from tfprovisioner.system import uv

    place = shared_options.absolute_prefix(prefix, user)
    if bundle is not None:
        _refuse(
            {
                "--with": extras, "--requirements": requirements, "--without": without, "--lock": lock, "--gpu": gpu,
                "--index": index, "--find-links": find_links, "--python": python, "--backend": backend,
                "--channel": channels, "--conda-exe": conda_exe, "--as-of": as_of, "--only-binary": only_binary,
                "--relax": relax,
            }
        )  # fmt: skip
        template = InstallRequest("", name, user, rebuild, devices=devices, prefix=place)
        _install_from(bundle, releases or (), template, dry_run, as_json)
        return
    locked = lock is not None and lock != USUAL
    if locked and releases:
        raise BadParameter("a lock names the release: omit RELEASES", param_hint="--lock")
    if locked and relax:
        raise BadParameter("a lock has exact packages, so nothing of it is loosened: omit --relax", param_hint="--lock")
    if any(release.endswith(".ipynb") for release in releases or ()):
        paths = [Path(release) for release in releases or ()]
        if any(path.suffix != ".ipynb" for path in paths) or (name and len(paths) > 1):
            raise BadParameter(
                "install notebooks and releases with separate commands, and only one notebook with --name"
            )
        chosen = {
            "--with": extras, "--requirements": requirements, "--without": without, "--lock": lock,
            "--backend": backend, "--channel": channels, "--conda-exe": conda_exe, "--gpu": gpu is not None,
            "--as-of": as_of, "--relax": relax,
        }  # fmt: skip
        notebooks.refuse_options(chosen)
        with answering():
            uv.set_sources(index, find_links or (), offline)
        template = InstallRequest(
            "", name, user, rebuild, python=lasting(python), conda=lasting(conda_exe), devices=devices,
            only_binary=only_binary, prefix=place,
        )  # fmt: skip
        notebooks.install(paths, template, yes, dry_run, as_json)
        return
    if requirements:
        require_extra("requirements", "install --requirements")
    answer = install_output.failure if as_json else None
    with answering(failed=answer):
        uv.set_sources(index, find_links or (), offline)
        day = days.day(as_of, requirements or ())
        choices, wanted, content = asked(
            releases or (), extras or (), requirements or (), python, day, backend is Backend.conda, locked
        )
    if name and len(choices) != 1 and not locked:
        raise BadParameter("--name needs exactly one release")
    for_gpu = chosen_release.wanting_gpu(content) if gpu is None else None
    cuda = [f"{for_gpu}: CUDA's libraries are installed only with --gpu"] if for_gpu else []
    for note in (*content.notes, *(choice.reason for choice in choices if choice.reason), *cuda):
        say(note)
    first = InstallRequest(
        "", name, user, rebuild, backend and backend.value, wanted, without=tuple(without or ()),
        python=lasting(python), channels=tuple(channels or ()), conda=lasting(conda_exe),
        gpu=gpu, devices=devices, lock=lasting(lock), as_of=day, only_binary=only_binary,
        prefix=place, relax=relax,
    )  # fmt: skip
    with answering(failed=answer):
        of_releases = (replace(first, release=one.release, python=one.python or first.python) for one in choices)
        requests = [_of_lock(first)] if locked else list(of_releases)
    places = {line.text: line.place for line in content.requirements}
    reasons = {request.kernel: choice.reason for request, choice in zip(requests, choices, strict=False)}
    notes = {name: [*content.notes, *filter(None, [reason]), *cuda] for name, reason in reasons.items()}
    carry_out(
        list({request.kernel: request for request in requests}.values()), dry_run, as_json, places=places, yes=yes,
        notes=notes,
    )  # fmt: skip


def asked(
    releases: Sequence[str],
    extras: Sequence[str],
    requirements: Sequence[Path],
    python: str | None,
    day: str | None = None,
    conda: bool = False,
    locked: bool = False,
) -> "tuple[list[Choice], tuple[str, ...], Content]":
    """The releases and the packages that options and files ask for, and the content of the files.

    ``locked``: a lock says the release.
    """
    from tfprovisioner.requirements import chosen_release, files, lines
    from tfprovisioner.requirements.request import USUAL
    from tfprovisioner.resolution import release_of_pins

    def newest(*fitting: Any) -> "tuple[Release, list[str]] | None":
        say("looking for the newest release that the other lines go with")
        return release_of_pins.newest(*fitting)

    content = files.read(requirements, conda=conda)
    choices = [chosen_release.Choice(named) for named in releases or ("tf1", "tf2")]
    if requirements and not locked:
        out_by = None if day == USUAL else day
        choices = chosen_release.choices(content, requirements, releases, python, out_by, newest)
    with_ = (line for text in extras for line in lines.split(text))
    return choices, (*chosen_release.packages(content), *with_), content


def _of_lock(request: "InstallRequest") -> "InstallRequest":
    """The request with the release of its lock, and a name that no kernel with other packages has."""
    from tfprovisioner.kernelspecs import locks
    from tfprovisioner.requirements import lock_file

    assert request.lock is not None
    if Path(request.lock).is_fifo():  # it can be read only once
        request = replace(request, lock=lock_file.read(Path(request.lock)) + "\n")
    assert request.locked is not None
    name = request.name or locks.kernel_name(request.locked)[0]
    python = request.python or request.locked.python
    return replace(request, release=request.locked.release, name=name, python=python)


def _refuse(options: Mapping[str, object]) -> None:
    """Ends the command if an option was given that a bundle has decided."""
    given = [option for option, value in options.items() if value]
    if given:
        raise BadParameter(f"a bundle decides its packages and Pythons: omit {', '.join(given)}", param_hint="--bundle")


def _install_from(
    bundle: Path, releases: Sequence[str], choices: "InstallRequest", dry_run: bool, as_json: bool
) -> None:
    from tfprovisioner.bundles.install import opened, planned
    from tfprovisioner.progress import reporting

    with ExitStack() as held:
        try:
            with answering(failed=install_output.failure if as_json else None), reporting() as reporter_for:
                wanted, planner = (bundle.expanduser().absolute(), releases, choices, reporter_for("bundle")), None
                if dry_run:
                    requests, planner = planned(*wanted)
                else:
                    requests = held.enter_context(opened(*wanted))
        except KeyboardInterrupt:
            say("interrupted, nothing changed")
            raise Exit(INTERRUPTED) from None
        carry_out(requests, dry_run, as_json, planner)
