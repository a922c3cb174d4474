"""What a user asks for: one order makes one kernel."""

import shlex
from dataclasses import dataclass

from tfprovisioner import catalogue


@dataclass(frozen=True)
class Order:
    """The arguments of one ``tfkernels install``."""

    release: str
    """As typed: ``tf1``, ``1.15``, ``2.11.0``."""
    name: str | None = None
    user: bool = False
    rebuild: bool = False
    backend: str = "uv"
    extras: tuple[str, ...] = ()
    """Requirements beside TensorFlow's, ``matplotlib<3.5``."""

    @property
    def kernel(self) -> str:
        """The name that the kernel gets."""
        return self.name or catalogue.kernel_name(self.release)

    @property
    def command(self) -> str:
        """What a user types to make this kernel again; error messages show it."""
        words = ["tfkernels", "install", self.release]
        if self.name:
            words += ["--name", self.name]
        if self.user:
            words += ["--user"]
        if self.backend != "uv":
            words += ["--backend", self.backend]
        for extra in self.extras:
            words += ["--with", extra]
        return shlex.join(words)
