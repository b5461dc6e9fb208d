"""Give the bibliography's entries the role that their list allows.

Docutils writes a list whose children are of the retired role `doc-biblioentry`, which screen
readers no longer take for items of a list.
"""


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("html-page-context", use_list_items)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def use_list_items(app, pagename, templatename, context, doctree):
    """Write `listitem` for `doc-biblioentry`."""
    context["body"] = context.get("body", "").replace(
        'role="doc-biblioentry"', 'role="listitem"'
    )
