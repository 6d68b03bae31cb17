"""Sphinx configuration. ``make docs`` builds with warnings as errors."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs import generate_wire

project = "AIOSv3"
author = "The AIOSv3 contributors"
project_copyright = "The AIOSv3 contributors, Apache License 2.0"
release = installed_version("aiosv3")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated", "adr/template.md", "compare/results.md"]

# A plain ```mermaid fence is drawn here and by every Git host alike.
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "AIOSv3"
html_theme_options = {"sidebar_hide_name": False}

nitpicky = True
# Signatures name types of the standard library and type variables, which have no page here. Pages link by Markdown.
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_member_order = "bysource"
add_module_names = False
python_maximum_signature_line_length = 100


def setup(app: object) -> None:
    """Writes the generated part of the wire reference; called by Sphinx before it reads the pages."""
    del app
    generate_wire.write()
