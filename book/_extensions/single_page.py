"""Let the single-page builder draw what the page-by-page builder can.

Sphinx looks up how to draw a node under the builder's name and only where nothing is registered
there under its format; sphinx-exercise registers for `singlehtml` by name, which hides every other
extension's drawings from that builder.
"""


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("builder-inited", share_drawings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def share_drawings(app):
    """Fall back on the drawings for HTML, node by node."""
    drawings = app.registry.translation_handlers
    drawings["singlehtml"] = drawings["html"] | drawings.get(
        "singlehtml", {}
    )
