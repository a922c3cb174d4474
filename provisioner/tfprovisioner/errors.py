"""What can go wrong while kernels are made. Each message says what happened, why, and what to do."""


class ProvisionError(Exception):
    """Shown on the command line as one paragraph."""


class UnknownRelease(ProvisionError):
    """What was asked for is not in the catalogue."""


class NoWheels(ProvisionError):
    """The release exists, but not for this kind of machine."""


class NoInterpreter(ProvisionError):
    """No Python that the release runs on could be found or fetched."""


class BuildFailed(ProvisionError):
    """An environment could not be built; nothing of it is left."""


class PackageNotInChannels(ProvisionError):
    """The conda channels have no build of a package for its Python."""


class BrokenEnvironment(ProvisionError):
    """A kernel's environment is missing, damaged, or does not pass its check."""


class BadKernelName(ProvisionError):
    """Jupyter does not allow the name, or a kernel has it that this package did not make."""


class BadRequirement(ProvisionError):
    """A package that was asked for beside TensorFlow cannot be understood, or not be had together with it."""


class UnknownEnvironment(ProvisionError):
    """A folder is no environment that a kernel can be made of; nothing was written to it."""


class NoGPU(ProvisionError):
    """TensorFlow with CUDA cannot be had, or cannot work, on this machine."""


class Unusable(ProvisionError):
    """What a command was given cannot be used; nothing was started."""
