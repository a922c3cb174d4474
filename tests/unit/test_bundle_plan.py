"""For which Pythons a bundle has tfkernels itself."""

from __future__ import annotations

import sys
from dataclasses import replace

from tests.support import bundles
from tfprovisioner.bundles import platforms
from tfprovisioner.bundles.package_files import PackageFile
from tfprovisioner.bundles.plan import Plan, pythons_of_tfkernels

(OLD,) = bundles.manifest().kernels
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
NEW = replace(OLD, python="3.99")
OWN, SPARE = (PackageFile("numpy", f"numpy-{python}.whl", "", "", 1) for python in ("3.99", HERE))


def test_tfkernels_runs_on_a_python_that_is_brought() -> None:
    assert pythons_of_tfkernels([OLD, NEW], brought=None) == (("3.99",), HERE)
    assert pythons_of_tfkernels([OLD, NEW], brought=True) == (("3.99",), HERE)


def test_tfkernels_runs_on_the_makers_python_too() -> None:
    """Where no Python is brought, or none that it can run on."""
    assert pythons_of_tfkernels([OLD, NEW], brought=False) == ((HERE, "3.99"), None)
    assert pythons_of_tfkernels([OLD], brought=None) == ((HERE,), None)
    assert pythons_of_tfkernels([OLD, replace(NEW, python=HERE)], brought=None) == ((HERE,), None)


def test_files_for_the_makers_python_are_spare() -> None:
    plan = Plan(platforms.find("linux-x86_64"), (OLD, NEW), (), ("3.99",), (), (OWN,), HERE, (SPARE,))
    assert plan.packages == (OWN,)
    assert plan.for_pythons(["3.7", "3.99"]) == replace(plan, spare_python=None, spare=())
    without = plan.for_pythons(["3.7"])
    assert (without.own_pythons, without.packages) == ((HERE, "3.99"), (OWN, SPARE))
