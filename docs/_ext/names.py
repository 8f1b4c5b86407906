"""Names in single backticks: a link where the name has a page, and code where it has none.

By numpydoc's custom single backticks hold arguments, columns and objects alike. So the default
role links what is public, wherever in a package it is spoken of, and sets the rest as code. What
begins with the name of a package of ours has to exist: a slip there fails the build. On Markdown
pages code that can only be a public name becomes a link as well.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyXRefRole
from sphinx.ext.autosummary import ImportExceptionGroup, import_by_name
from sphinx.util import logging

logger = logging.getLogger(__name__)

#: Packages whose ``__all__`` is public. Two of them have a `load`, a `NAMES`:
#: such a name is a link only in its own package.
PACKAGES = (
    "replica",
    "replica.scaling",
    "replica.highprecision",
    "perceptron",
    "deepnorm.norms",
    "deepnorm.networks",
    "deepnorm.datasets",
    "deepnorm.sweeps",
)
OURS = re.compile(r"(replica|perceptron|deepnorm|validation)(\.\w+)+")


def public_names() -> dict[str, str]:
    """Every public name that is public once -> the name of its page."""
    homes: dict[str, list[str]] = {}
    for package in PACKAGES:
        for name in importlib.import_module(package).__all__:
            homes.setdefault(name, []).append(f"{package}.{name}")
    return {name: home[0] for name, home in homes.items() if len(home) == 1}


def complain_of_slips(name: str, place: Any) -> None:
    """A warning where a name of ours does not exist."""
    if OURS.fullmatch(name):
        try:
            import_by_name(name, [None])
        except ImportExceptionGroup:
            logger.warning("there is no %s", name, location=place)


class Name(PyXRefRole):
    """The default role."""

    def run(self) -> Any:
        """A reference, which `missing` turns to code if it has no page."""
        name = self.target.lstrip("~").removesuffix("()")
        complain_of_slips(name, self.get_location())
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            return [nodes.literal(self.rawtext, self.text, classes=["code"])], []
        self.name = "py:obj"
        found, messages = super().run()
        for node in found:
            node["default_role"] = True
        return found, messages


def link_code(app: Any, doctree: nodes.document) -> None:
    """Make references of the code on a Markdown page that names something public.

    A plain word, as in `margins`, may be an argument or a column, and stays code.
    """
    if app.env.current_document.docname.startswith(("reference/", "auto_gallery/")):
        return
    known = app.config.numpydoc_xref_aliases
    for code in list(doctree.findall(nodes.literal)):
        name, call, _ = code.astext().partition("(")
        complain_of_slips(name, code)
        telling = bool(call) or not name.islower() or "_" in name
        certain = OURS.fullmatch(name) or (name in known and telling)
        if not certain or isinstance(code.parent, nodes.reference):
            continue
        reference = pending_xref(
            "",
            code.deepcopy(),
            refdoc=app.env.current_document.docname,
            refdomain="py",
            reftype="obj",
            reftarget=known.get(name, name),
            refexplicit=True,
            default_role=True,
        )
        code.replace_self(reference)


def missing(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Look for a name in all our packages; else it stays what it is, code."""
    if not node.get("default_role"):
        return None
    home = env.app.config.numpydoc_xref_aliases.get(node["reftarget"])
    if home is None:
        return content
    domain = env.domains.python_domain
    found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, content)
    return content if found is None else found


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_role("name", Name())
    app.connect("doctree-read", link_code)
    app.connect("missing-reference", missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
