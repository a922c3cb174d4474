"""Ctrl-C at any moment of an installation of several kernels: each is accounted for once, and truly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.interrupts import after_each_call
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs.install import Installed, Interrupted, Outcome
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements.request import InstallRequest

REQUESTS = [InstallRequest(release) for release in ("tf1", "2.11", "tf2")]
REFUSED, FAILING, WORKING = REQUESTS


def test_each_kernel_is_accounted_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    carried_out: list[InstallRequest] = []
    said: list[tuple[InstallRequest, type]] = []

    def check(request: InstallRequest) -> None:
        if request == REFUSED:
            raise ProvisionError("refused")

    def carry_out(request: InstallRequest, _: Reporter) -> Installed:
        if request == FAILING:
            raise ProvisionError("failed")
        carried_out.append(request)
        environment: Any = None
        return Installed(request.kernel, environment, Path(), built=True, registered=True)

    def report(request: InstallRequest, outcome: Outcome) -> None:
        said.append((request, type(outcome)))

    def work() -> None:
        carried_out.clear()
        said.clear()
        try:
            install.install_all(REQUESTS, report)
        except Interrupted as interrupted:
            said.extend((request, Interrupted) for request in interrupted.requests)
            raise

    monkeypatch.setattr(install, "check", check)
    monkeypatch.setattr(install, "_carry_out", carry_out)
    for number, raised in after_each_call(work):
        if raised is KeyboardInterrupt:  # before the first, or after the last
            assert carried_out == [] or len(said) == len(REQUESTS), number
        else:
            assert sorted(request.kernel for request, _ in said) == ["tf1", "tf2", "tf2.11"], number
        assert ((WORKING, Installed) in said) == (WORKING in carried_out), number
