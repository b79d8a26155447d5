"""Sphinx: ``make docs`` builds with warnings as errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

import varkit

reference.write(Path(__file__).parent / "generated")

project = "varkit"
author = "the varkit authors"
version = release = varkit.__version__
extensions = ["myst_parser", "sphinx_click"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "generated/_*", "plugins"]
html_theme = "furo"
html_title = "varkit"
html_copy_source = False
smartquotes = False  # they would turn --json into a dash and "json"
