"""The command ``inspect``: what a saved model is, and what is in it."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import answering, print_json


def inspect(
    file: Annotated[Path, Argument(help="An .h5 or .keras file, a SavedModel's folder, a checkpoint, or a graph.")],
    as_json: shared_options.Json = False,
) -> None:
    """Show what a saved model is: release, layers, weights, optimizer.

    Example: tfkernels inspect model.ckpt-30000

    Nothing of the file is executed, and no TensorFlow is needed. HDF5 files need the extra 'models'.
    """
    from tfkernels.saved_models.document import as_document
    from tfkernels.saved_models.read import read
    from tfkernels.saved_models.text import as_text
    from tfprovisioner.cli.console import harmless

    with answering():
        saved = read(file)
    if as_json:
        print_json(as_document(saved))
    else:
        print(harmless(as_text(saved)))
