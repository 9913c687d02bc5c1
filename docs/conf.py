"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Before anything imports Airflow, which writes its configuration there.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
sys.path.append(str(Path(__file__).parent))  # for diagrams.py and llms.py

import airflow_provider_datarecs
from airflow_provider_datarecs import __version__


def import_what_annotations_name() -> None:
    """Import what modules import for type checkers alone, so that every type in a signature is a link."""
    package = airflow_provider_datarecs
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith(("__main__", "pytest_plugin", "openlineage")):  # needs what is not here
            continue
        module = importlib.import_module(found.name)
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                code = compile(ast.Module(node.body, []), found.name, "exec")
                exec(code, vars(module))  # noqa: S102 - as a type checker would


import_what_annotations_name()

project = "DataRecs provider for Apache Airflow"
author = "DataRecs"
copyright = "the authors of this provider; Apache License 2.0"  # noqa: A001 - Sphinx reads this name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "diagrams", "llms"]
exclude_patterns = ["_build"]
highlight_language = "text"  # where a block names none
nitpicky = True
# What other projects define. Their own documentation has it, and a build needs no network.
nitpick_ignore_regex = [
    ("py:.*", r"(airflow|asyncio|collections|datetime|ssl|pathlib|typing)\..*"),
    ("py:exc", r"Airflow\w+"),
    ("py:class", r".*\.T"),  # a type variable
    ("py:class", r".*\.KnownRun"),  # of triggers, whose docstring says what is in it
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "DataRecs provider for Airflow"
templates_path = ["_templates"]
html_sidebars = {  # as Furo has them, and the version
    "**": [
        "sidebar/brand.html",
        "version.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_static_path = ["_static"]
html_css_files = ["tables.css", "diagrams.css", "pages.css"]
html_js_files = ["tables.js"]
copybutton_prompt_text = "$ "
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Show a default that is made for each object as an ellipsis; Sphinx cannot read Python's way."""

    def readable(_app: Sphinx, *event: str | None) -> tuple[str | None, str | None]:
        *_, signature, returned = event
        return signature.replace("<factory>", "...") if signature else None, returned

    app.connect("autodoc-process-signature", readable)
