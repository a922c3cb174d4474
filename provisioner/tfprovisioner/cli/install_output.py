"""What ``tfkernels install`` prints: lines and tables, or one JSON document for all kernels."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfprovisioner.cli.console import megabytes, print_json, print_table, say

if TYPE_CHECKING:
    from tfkernels.client.kernelspecs import KernelSpec
    from tfprovisioner.environments.planned import PlannedPackage
    from tfprovisioner.kernelspecs.install import Installed
    from tfprovisioner.kernelspecs.plan import Plan
    from tfprovisioner.requirements.request import InstallRequest


def failure(error: Exception) -> None:
    """Prints the JSON document of a command that failed before it knew its kernels."""
    print_json([{"kernel": None, "command": None, "state": "failed", "error": str(error)}])


def added(spec: "KernelSpec") -> dict[str, Any]:
    """A kernel that the user added, in the JSON document: tfkernels installs none of it."""
    known = {field: spec.described[field] for field in ("tensorflow", "python", "backend", "environment")}
    shared = {"kernel": spec.name, "command": spec.install_command, "error": None, "state": "already there"}
    return {**shared, **known, "kernelspec": str(spec.folder)}


def document(
    request: "InstallRequest", outcome: "Installed | Plan | Exception | None", notes: Sequence[str]
) -> dict[str, Any]:
    """One kernel in the JSON document; without an outcome it was interrupted. ``notes`` are of the command's files."""
    from tfprovisioner.resolution.conflicts.explain import Conflicts

    shared: dict[str, Any] = {"kernel": request.kernel, "command": request.command, "error": None}
    if outcome is None:
        return {**shared, "state": "interrupted"}
    if isinstance(outcome, Conflicts):
        return {**shared, "state": "failed", "error": str(outcome), **outcome.document}
    if isinstance(outcome, Exception):
        return {**shared, "state": "failed", "error": str(outcome)}
    facts = _facts(outcome)
    return {**shared, "state": outcome.state, **facts, "notes": [*notes, *facts["notes"]]}


def _facts(outcome: "Installed | Plan") -> dict[str, Any]:
    from tfprovisioner.kernelspecs import plan

    if isinstance(outcome, plan.Plan):
        return {
            "command": outcome.request.command,
            "tensorflow": outcome.tensorflow,
            "python": outcome.python.version,
            "python_path": str(outcome.python.path) if outcome.python.path else None,
            "python_source": outcome.python.source,
            "backend": outcome.backend,
            "as_of": outcome.request.as_of,
            "kernelspec": str(outcome.kernelspec),
            "environment": str(outcome.environment) if outcome.environment else None,
            "download": outcome.download,
            "packages": [_package(package, outcome.before) for package in outcome.packages],
            "removed": outcome.removed,
            "differing": [asdict(one) for one in outcome.differing],
            "notes": list(outcome.notes),
        }
    made = outcome.environment
    return {
        "command": outcome.command,
        "tensorflow": made.recipe.tensorflow,
        "python": made.python_version,
        "python_path": made.base_python,
        "backend": made.recipe.backend,
        "as_of": made.recipe.as_of or None,
        "kernelspec": str(outcome.kernelspec),
        "environment": str(made.folder),
        "size": made.size,
        "packages": [{"name": name, "version": version} for name, version in plan.versions(made.folder).items()],
        "differing": [asdict(one) for one in outcome.differing],
        "notes": list(outcome.notes),
        "warnings": [*outcome.warnings, *_cautions(outcome)],
    }


def _package(package: "PlannedPackage", before: dict[str, str]) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "now": before.get(package.name),
        "source": package.source,
        "url": package.url,
        "size": package.size,
        "uploaded": package.uploaded,
        "cached": package.cached,
    }


def show(outcome: "Installed | Plan") -> None:
    """Prints an outcome as lines and tables."""
    from tfprovisioner.kernelspecs.plan import Plan

    if isinstance(outcome, Plan):
        _print_plan(outcome)
    else:
        _print_installed(outcome)


def _print_plan(plan: "Plan") -> None:
    """One line of facts, and a table of the packages that are new or change."""
    places = {"found": str(plan.python.path), "uv": "uv would download it"}
    places |= {"conda": "from conda", "bundle": "from the bundle"}
    python = f"Python {plan.python.version} ({places[plan.python.source]})"
    facts = [f"TensorFlow {plan.tensorflow}", python, f"{len(plan.packages)} packages"]
    if plan.environment is None:
        unknown = sum(one.size is None and not one.cached and not one.is_here for one in plan.packages)
        facts.append(f"{megabytes(plan.download)} to download" + (f" and {unknown} of unknown size" if unknown else ""))
    where = f"environment: {plan.environment or 'new'}"
    print(f"{plan.name}: {plan.state}. {', '.join(facts)}. Kernel: {plan.kernelspec}, {where}", flush=True)
    changing = [one for one in plan.packages if plan.before.get(one.name) != one.version]
    rows = [(one.name, plan.before.get(one.name, ""), one.version, _origin(one), _size(one.size)) for one in changing]
    rows += [(name, version, "removed", "", "") for name, version in plan.removed.items()]
    if plan.before:
        print(f"{plan.name}: {len(plan.packages) - len(changing)} packages stay in the version that they have")
    if plan.differing:
        print(f"{plan.name}: {_differing(plan)}")
    if rows:
        print_table(("package", "now", "then", "from", "size"), rows)


def _differing(outcome: "Installed | Plan") -> str:
    return f"differs from the tested versions: {', '.join(map(str, outcome.differing))}"


def _origin(package: "PlannedPackage") -> str:
    if package.cached:
        return "cache"
    return "index, built from source" if package.source == "source" else package.source


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _print_installed(done: "Installed") -> None:
    """A kernel, its packages and the options of earlier installs on standard output; cautions on standard error."""
    from tfprovisioner.requirements.lines import without_hashes

    made = done.environment
    facts = f"TensorFlow {made.recipe.tensorflow}, Python {made.python_version}, {megabytes(made.size)}"
    told = [f"{done.state}. {facts}. Kernel: {done.kernelspec}, environment: {made.folder}"]
    if done.extras:
        extras, older = (", ".join(map(without_hashes, listed)) for listed in (done.extras, done.kept))
        told.append(f"with {extras}" + (f" (kept: {older}; --without removes a package)" if older else ""))
    if done.differing:
        told.append(_differing(done))
    if done.choices:
        told.append(f"as in the last install: {' '.join(done.choices)}")
    for line in told:
        print(f"{done.name}: {line}", flush=True)
    for text in done.warnings:
        say(f"{done.name}: warning: {text}")
    for text in _cautions(done):
        say(f"{done.name}: {text}")


def _cautions(done: "Installed") -> list[str]:
    """What was not tried of a new environment."""
    from tfprovisioner.catalogue import releases

    recipe = done.environment.recipe
    if recipe.as_of:
        tried = "Only an import, an operation, a training and the start of a kernel were tried."
        return [f"the packages of {recipe.as_of} were not tested together. {tried}"]
    caution = releases.caution(releases.find(recipe.tensorflow), recipe.python) if recipe.backend == "uv" else None
    return [caution] if caution else []
