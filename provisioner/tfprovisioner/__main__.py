"""``python -m tfprovisioner`` is the command ``tfkernels``."""

from tfprovisioner.cli.app import app

app(prog_name="tfkernels")
