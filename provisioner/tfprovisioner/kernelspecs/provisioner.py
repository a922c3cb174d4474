"""Kernel provisioner: removes variables, which a kernelspec cannot do, and explains a broken kernel in the notebook."""

import contextlib
import os
import sys
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from tfkernels import env_vars, start_or_explain
from tfkernels.start_or_explain import PROBLEM
from tfprovisioner.kernelspecs import health


class TensorFlowProvisioner(LocalProvisioner):
    """Launches a kernel's own Python directly. A launch must be quick: nothing is installed or built here."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        assert self.kernel_spec is not None
        _read_again(self.kernel_spec)
        self._client = dict(kwargs.get("env", os.environ))
        prepared: dict[str, Any] = await super().pre_launch(**kwargs)
        described = self.kernel_spec.metadata.get("tfkernels", {})
        _, problem = health.look(self.kernel_spec.argv, described)
        # If tfkernels was uninstalled since the server began, start.py in the kernelspec's folder explains that.
        if problem is not None and os.path.exists(start_or_explain.__file__):
            # An exception would be a dialog at the start, and at a restart a spinner without end (jupyterlab#16835).
            message = health.message(self.kernel_spec.display_name, described, problem)
            self.log.error(message)
            assert self.parent is not None
            prepared["cmd"] = [
                sys.executable,
                start_or_explain.__file__,
                "-f",
                os.path.realpath(self.parent.connection_file),
            ]
            prepared["env"] = {**os.environ, PROBLEM: message}  # the server's Python, so the server's variables
        return prepared

    def _finalize_env(self, env: dict[str, str]) -> None:
        super()._finalize_env(env)
        assert self.kernel_spec is not None
        own = {name: env[name] for name in self.kernel_spec.env}
        env.clear()
        env.update(env_vars.for_kernel(self._client, own))


def _read_again(spec: KernelSpec) -> None:
    """Lets a restart use the present ``kernel.json``: jupyter_client keeps the one of the first start."""
    with contextlib.suppress(OSError, ValueError, TypeError):  # missing, or half edited: the old one is tried
        fresh = KernelSpec.from_resource_dir(spec.resource_dir)
        if "tfkernels" in fresh.metadata:
            spec.argv, spec.env, spec.metadata = fresh.argv, fresh.env, fresh.metadata
