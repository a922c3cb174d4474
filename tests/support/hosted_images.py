"""Packages of hosted notebooks that tfkernels shares with their images, as the publishers list them.

Facts of the lists of 2026-08 (Colab) and 2026-05 (Kaggle, which builds on Colab's image and pins some packages anew).
"""

COLAB = (
    "click==8.4.2", "dask==2026.7.1", "debugpy==1.8.15", "entrypoints==0.4", "filelock==3.32.3", "ipykernel==6.17.1",
    "ipython==7.34.0", "ipywidgets==7.7.1", "jupyter_client==7.4.9", "jupyter_core==5.9.1", "jupyter_server==2.20.0",
    "jupyterlab_widgets==3.0.16", "matplotlib==3.10.0", "nbclient==0.10.4", "nbformat==5.11.1", "notebook==6.5.7",
    "numpy==2.1.3", "packaging==26.3", "pandas==2.2.3", "platformdirs==4.11.3", "psutil==5.9.5", "PyYAML==6.0.3",
    "pyzmq==26.2.1", "requests==2.32.4", "rich==13.9.4", "tenacity==9.1.4", "tornado==6.5.7", "tqdm==4.67.3",
    "traitlets==5.7.1", "typer==0.27.1",
)  # fmt: skip
"""On Python 3.13. Its IPython lacks jedi, so ``pip check`` complains before tfkernels is installed."""

KAGGLE = (
    "click==8.3.3", "dask==2026.3.0", "debugpy==1.8.15", "entrypoints==0.4", "filelock==3.29.0", "ipykernel==6.17.1",
    "ipython==7.34.0", "ipywidgets==8.1.5", "jupyter_client==7.4.9", "jupyter_core==5.9.1", "jupyter_server==2.12.5",
    "jupyterlab_widgets==3.0.16", "matplotlib==3.10.0", "nbclient==0.5.13", "nbconvert==6.4.5", "nbformat==5.10.4",
    "numpy==2.0.2", "packaging==26.1", "pandas==2.2.2", "papermill==2.7.0", "platformdirs==4.9.6", "psutil==5.9.5",
    "PyYAML==6.0.3", "pyzmq==26.2.1", "requests==2.32.4", "rich==13.9.4", "tenacity==9.1.4", "tornado==6.5.1",
    "tqdm==4.67.3", "typer==0.24.2",
)  # fmt: skip
"""On Python 3.12."""

IMAGES = {"colab": ("3.13", COLAB), "kaggle": ("3.12", KAGGLE)}
"""Python and pins of each."""
