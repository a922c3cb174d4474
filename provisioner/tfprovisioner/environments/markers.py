"""Whether a requirement holds for a kernel's Python, which is not the one that tfkernels runs on."""

from packaging.requirements import Requirement


def holds(requirement: Requirement, python: str) -> bool:
    """By its environment marker, for a version of CPython (``3.7.16``, or a minor one) on this machine."""
    if requirement.marker is None:
        return True
    full = python if python.count(".") > 1 else f"{python}.0"
    marks = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": full}
    marks.update(implementation_name="cpython", platform_python_implementation="CPython", implementation_version=full)
    return requirement.marker.evaluate(marks)
