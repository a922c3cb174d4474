"""Errors of making kernels. Each message says what failed, why, and the command or change that helps."""


class ProvisionError(Exception):
    """Shown on the command line as one paragraph."""


class UnknownRelease(ProvisionError):
    """The catalogue has no such release."""


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
    """A package beside TensorFlow cannot be understood, or conflicts with it."""


class BadLock(ProvisionError):
    """A lock cannot be used: it is none, or it is for another machine or Python."""


class BadNotebook(ProvisionError):
    """A notebook cannot be read or written, or says nothing useful about its kernel."""


class UnknownEnvironment(ProvisionError):
    """No kernel can be made of a folder; nothing was written to it."""


class NoGPU(ProvisionError):
    """TensorFlow with CUDA does not exist for this machine, or cannot work on it."""


class Unusable(ProvisionError):
    """A command cannot use its arguments; nothing was started."""


class BadBundle(ProvisionError):
    """A bundle is missing, damaged, hostile, or not for this machine; nothing was installed from it."""
