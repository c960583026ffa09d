"""Sphinx: `make docs` builds this folder into build/docs, without a network."""

import inspect
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
# Reading the docstrings imports the library; nothing is computed.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(ROOT))

project = "keras_concatplexer"
release = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_concatplexer" / "version.py").read_text()
).group(1)
version = release

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["draw.py"]
# The anchors of headings are those of GitHub, to the third level.
myst_heading_anchors = 3
# `name` in a docstring is code, as it is in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
# The types stand in the docstrings, in words.
autodoc_typehints = "none"
# Longer signatures have a line for each argument.
python_maximum_signature_line_length = 60
napoleon_custom_sections = [("Call arguments", "params_style"), "Reference"]
# The tutorial shows what it printed when it was run last; a test runs it.
nb_execution_mode = "off"
html_theme = "furo"
html_title = f"keras_concatplexer {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

# What stands in this project's docstrings as one line -> a section of its own.
SECTION = re.compile(r"(Input shape|Output shape|Input|Output|Call arguments): (.+)")


def adapt_docstring(app, what, name, obj, options, lines):
    """Writes what the docstrings have of Markdown, and their sections, for Sphinx."""
    adapted, inside = [], False
    for line in lines:
        line = re.sub(r"^Call arguments of .+:$", "Call arguments:", line)
        if found := SECTION.match(line):
            adapted += ["", f"**{found[1]}**", "", found[2]]
        elif line.lstrip().startswith("- "):
            # A blank line between items is as good as none.
            adapted += ["", line]
        elif line.startswith("|"):
            adapted += [] if adapted[-1].startswith("   |") else ["::", ""]
            adapted.append(f"   {line}")
        elif inside and line.startswith("    "):
            adapted.append(line.strip())
        else:
            adapted.append(line)
        inside = bool(found) or (inside and line.startswith("    "))
    lines[:] = adapted


def sign_by_constructor(app, what, name, obj, options, signature, returns):
    """Returns the signature of a class's constructor: that of Keras' `__new__` is bare.

    The arguments stand without the first, the object, and without types.
    """
    if what != "class":
        return None
    arguments = inspect.signature(obj.__init__)
    own = [
        parameter.replace(annotation=parameter.empty)
        for parameter in list(arguments.parameters.values())[1:]
    ]
    return str(arguments.replace(parameters=own)), None


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", sign_by_constructor)
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", adapt_docstring, priority=400)
