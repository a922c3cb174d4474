"""What a kernelspec cannot do by itself: take variables away, and say at once that an environment is broken."""

from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from tfkernels import environ
from tfprovisioner import environments
from tfprovisioner.errors import BrokenEnvironment


class TensorFlowProvisioner(LocalProvisioner):
    """Launches a kernel's own Python directly; nothing is installed or built here, a launch must answer at once."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        assert self.kernel_spec is not None
        described = self.kernel_spec.metadata.get("tfkernels", {})
        check(self.kernel_spec.display_name, described)
        return await super().pre_launch(**kwargs)

    def _finalize_env(self, env: dict[str, str]) -> None:
        super()._finalize_env(env)
        assert self.kernel_spec is not None
        kept = environ.cleaned(env, keep=self.kernel_spec.env)
        for name in set(env) - set(kept):
            del env[name]


def check(display_name: str, described: dict[str, Any]) -> None:
    """Raises ``BrokenEnvironment`` if the environment of a kernel is missing or damaged."""
    folder = Path(described.get("environment", ""))
    environment = environments.load(folder)
    problem = "it is not there any more" if environment is None else environment.problem()
    if problem is not None:
        raise BrokenEnvironment(
            f"The kernel {display_name} cannot start: its environment {folder} is broken: {problem}. Make it anew "
            f"with: {described.get('command', 'tfkernels install')}"
        )
