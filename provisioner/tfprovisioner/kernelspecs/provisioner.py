"""What a kernelspec cannot do by itself: take variables away, and say in the notebook what is broken."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

import tfkernels
from tfkernels import env_vars
from tfkernels.start import PROBLEM
from tfprovisioner.kernelspecs import health


class TensorFlowProvisioner(LocalProvisioner):
    """Launches a kernel's own Python directly; nothing is installed or built here, a launch must answer at once."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        assert self.kernel_spec is not None
        _read_again(self.kernel_spec)
        prepared: dict[str, Any] = await super().pre_launch(**kwargs)
        described = self.kernel_spec.metadata.get("tfkernels", {})
        trouble = health.problem(self.kernel_spec.argv, described, health.environment_of(described))
        if trouble is not None:
            # An exception would be a dialog at the start, and at a restart a spinner without end (jupyterlab#16835).
            told = health.told(self.kernel_spec.display_name, described, trouble)
            self.log.error(told)
            explain = Path(tfkernels.__file__).with_name("start.py")
            assert self.parent is not None
            prepared["cmd"] = [sys.executable, str(explain), "-f", os.path.realpath(self.parent.connection_file)]
            prepared["env"] = {**os.environ, PROBLEM: told}  # the server's Python, so the server's variables
        return prepared

    def _finalize_env(self, env: dict[str, str]) -> None:
        super()._finalize_env(env)
        assert self.kernel_spec is not None
        kept = env_vars.cleaned(env, keep=self.kernel_spec.env)
        for name in set(env) - set(kept):
            del env[name]


def _read_again(spec: KernelSpec) -> None:
    """A restart uses what is registered now: jupyter_client keeps what it read at the first start."""
    with contextlib.suppress(OSError, ValueError, TypeError):  # gone or half edited: what was read then is tried
        fresh = KernelSpec.from_resource_dir(spec.resource_dir)
        if "tfkernels" in fresh.metadata:
            spec.argv, spec.env, spec.metadata = fresh.argv, fresh.env, fresh.metadata
