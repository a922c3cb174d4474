"""``python -m tfprovisioner`` is the command ``tfkernels``."""

from tfprovisioner.cli import app

app(prog_name="tfkernels")
