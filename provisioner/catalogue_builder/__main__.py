"""``make catalogue``: reads the index, resolves the locks, tries the releases one after the other."""

import sys
from typing import Annotated

import typer

from catalogue_builder import index, page
from catalogue_builder.resolve_locks import gpu_path, heading_of, resolve_gpu, resolve_lock
from catalogue_builder.verify import verify
from tfprovisioner.catalogue import locks, verified
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.errors import BuildFailed


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="A line (1.15), or an exact release (1.15.0); repeatable. All if left out.")
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(help="Try these Pythons (3.9), and not each release's preferred one; repeatable."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep locks that follow from the rules, and results that hold for them.")
    ] = False,
    patches: Annotated[
        bool, typer.Option("--patches", help="Try all patch releases, not only the newest of each line.")
    ] = False,
    resolve_only: Annotated[
        bool, typer.Option("--resolve-only", help="Try nothing: only the index and the locks.")
    ] = False,
) -> None:
    """Read the index, resolve the locks, build and try each release, and write the page with what came out."""
    if not resume:
        say("reading the package index")
        index.store(index.releases())
    wanted = [catalogue.find(name) for name in only] if only else list(catalogue.lines().values())
    lines = {release.line for release in wanted} if not only or patches else set()
    others = [release for release in catalogue.releases() if release.line in lines and release not in wanted]
    failed = [release.version for release in [*wanted, *others] if not _ensure_locks(release, resume)]
    if not resolve_only:
        for release in [*wanted, *(others if patches else [])]:
            for minor in [minor for minor in release.pythons if minor in python] if python else release.pythons[:1]:
                if release.version not in failed and not _try_release(release, minor, resume):
                    failed.append(f"{release.version} on Python {minor}")
    page.write()
    say(f"failed: {', '.join(failed)}" if failed else "everything that was tried works")
    raise typer.Exit(bool(failed))


def _ensure_locks(release: Release, resume: bool) -> bool:
    """Resolves the lock of a release and its overlay for GPUs if need be; whether it has both."""
    heading = heading_of(release)
    kept = resume and locks.comments(release.version) == heading
    try:
        if not kept:
            say(f"{release.version}: resolving")
            pins, hashes = resolve_lock(release, keep=resume)
            locks.store(release.version, heading, pins, hashes)
        if not (kept and gpu_path(release).exists()):
            say(f"{release.version}: resolving, with CUDA")
            gpu_path(release).write_text(resolve_gpu(release), encoding="utf-8")
    except BuildFailed as error:
        say(f"{release.version}: {error}")
        return False
    return True


def _try_release(release: Release, python: str, resume: bool) -> bool:
    known = release.result(python)
    if resume and known is not None and known.ok:
        return True
    result = verify(release, python, lambda check: say(f"{release.version} on Python {python}: {check}"))
    verified.store(result)
    page.write()
    for name, outcome in result.checks.items():
        if outcome != "ok":
            say(f"{release.version} on Python {python}: {name}: {outcome}")
    return result.ok


if __name__ == "__main__":
    typer.run(main)
