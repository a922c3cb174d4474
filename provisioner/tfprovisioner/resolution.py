"""From what is wanted to a lock: every package pinned and hashed."""

import re
from collections.abc import Callable
from pathlib import Path

from tfprovisioner import uv
from tfprovisioner.catalogue import Release
from tfprovisioner.plan import Plan


def lock(plan: Plan, python: Path, folder: Path, say: Callable[[str], None]) -> str:
    """The text of the lock for an environment whose interpreter is ``python``; scratch files go to ``folder``.

    It is the release's own, verified one. The user's extras are resolved together with its pins, and the pins win.
    Raises ``BuildFailed`` with what is in conflict.
    """
    verified = plan.release.lock.read_text(encoding="utf-8")
    if not plan.recipe.extras:
        return verified
    constraints, wanted, resolved = (folder / f"{name}.txt" for name in ("pins", "wanted", "resolved"))
    try:
        constraints.write_text(pins(verified), encoding="utf-8")
        wanted.write_text("\n".join([pins(verified), *plan.recipe.extras]), encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--python", str(python)]
        arguments += [*only_wheels(plan.release), "--constraints", str(constraints)]
        uv.run([*arguments, str(wanted), "--output-file", str(resolved)], folder, say)
        return resolved.read_text(encoding="utf-8")
    finally:
        for path in (constraints, wanted, resolved):
            path.unlink(missing_ok=True)


def pins(text: str) -> str:
    """The lines ``name==version ; marker`` of a lock, without hashes and comments."""
    lines = (re.sub(r"\s*\\$", "", line) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line))
    return "".join(f"{line.strip()}\n" for line in lines)


def only_wheels(release: Release) -> list[str]:
    """Options for uv: no setup code runs where a wheel exists; the exceptions are named in the catalogue."""
    exceptions = [word for package in release.build_from_source for word in ("--no-binary", package)]
    return ["--only-binary", ":all:", *exceptions]
