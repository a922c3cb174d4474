"""Sphinx's configuration for the documentation site: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE / "_extensions"))

import tfkernels  # noqa: E402

project = "tfkernels"
author = "The tfkernels developers"
project_copyright = "The tfkernels developers"
version = release = tfkernels.__version__

extensions = [
    "myst_nb",             # Markdown, and notebooks whose cells are executed
    "sphinx.ext.autodoc",  # the Python API from signatures and docstrings
    "sphinx_copybutton",
    "outside_pages",
    "navigation",
    "executed_cells",
    "command_line_page",
    "schema_page",
]  # fmt: skip
exclude_patterns = ["_*", "**.ipynb_checkpoints"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r".*")]  # types in signatures are Python's own words, not links

myst_enable_extensions = ["attrs_block", "deflist"]
myst_heading_anchors = 4

nb_execution_mode = "cache"
nb_execution_cache_path = str(_HERE.parent / "build" / "docs" / "executed" / version)
nb_execution_in_temp = False  # notebooks read the data beside them
nb_execution_excludepatterns = ["notebooks/tf1_in_a_hosted_notebook.ipynb"]  # it installs tfkernels itself
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "show"
nb_ipywidgets_js: dict[str, str] = {}  # they would come from another server

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "tfkernels"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "tfkernels"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["version-switcher", "theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    # One file for all versions, beside their folders: each version finds it, wherever the site lies.
    "switcher": {"json_url": "../versions.json", "version_match": version},
    "check_switcher": False,
}  # fmt: skip
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False
copybutton_exclude = ".linenos, .gp, .go"
