"""The documentation site: `make docs` builds it, and needs no network once it is installed."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

# A figure of the gallery is drawn without a screen, and 2 threads are what CI has.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "2")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from names import public_names  # noqa: E402

# ---------------------------------------------------------------------- project

project = "replica-learning"
author = "The replica-learning developers"
project_copyright = author
version = release = importlib.metadata.version(project)

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "equations",  # docs/_ext: numbered equations as link targets
    "commands",  # docs/_ext: help texts of commands
    "links",  # docs/_ext: every link, anchor and image of the built pages
    "names",  # docs/_ext: names in single backticks
]
toc_object_entries_show_parents = "hide"
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "gallery", "**/README.md"]
nitpicky = True
smartquotes = False  # two dashes are an option of a command
default_role = "name"

# -------------------------------------------------------------------- Markdown

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# ------------------------------------------------------------------ mathematics

# MathJax is in the wheel of sphinx-mathjax-offline: one file, fonts included, copied beside the
# pages. They render without a network.
_mathjax = importlib.metadata.distribution("sphinx-mathjax-offline")
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"svg": {"scale": 0.9}}

# -------------------------------------------------------------------- reference

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say them, in words
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # only what is named here becomes a link: types are written in words
numpydoc_xref_aliases = {
    **public_names(),
    "bool": "bool",
    "callable": "collections.abc.Callable",
    "iterable": "collections.abc.Iterable",
    "mapping": "collections.abc.Mapping",
    "sequence": "collections.abc.Sequence",
    "array": "numpy.ndarray",
    "arrays": "numpy.ndarray",
    "Axes": "matplotlib.axes.Axes",
    "DataFrame": "pandas.DataFrame",
    "Figure": "matplotlib.figure.Figure",
    "Generator": "numpy.random.Generator",
    "Module": "torch.nn.Module",
    "Tensor": "torch.Tensor",
}

# ------------------------------------------------------------------ other sites

# The few names of other projects that ours speak of, a line each in the first, readable version
# of Sphinx's inventories: no build waits for a network. A name that is missing fails the build:
# add its line, and `make docs-links` says whether its page is there.
intersphinx_mapping = {
    name: (url, str(HERE / "inventories" / f"{name}.inv"))
    for name, url in {
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "python": "https://docs.python.org/3/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}

# ---------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures.scrape",),
    "reset_modules": (),
    "abort_on_example_error": True,
    "capture_repr": (),
    "backreferences_dir": "auto_gallery/backreferences",
    "doc_module": ("replica", "perceptron", "deepnorm", "validation"),
    "reference_url": {},
    "inspect_global_variables": True,
    "matplotlib_animations": False,
    "min_reported_time": 1,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,  # a page whose table needs scripts of another site
    "show_signature": False,
    "download_all_examples": False,
}

# ------------------------------------------------------------------------ pages

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = [
    "_static",
    str(_mathjax.locate_file(f"sphinx-mathjax-offline/static/mathjax/{mathjax_path}")),
]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "back_to_top_button": False,
    "pygments_light_style": "tango",
}

# ------------------------------------------------------------------------ links

linkcheck_anchors = False  # many sites make their anchors by script
linkcheck_timeout = 20
linkcheck_retries = 2
