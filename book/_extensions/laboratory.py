"""Load the laboratory's scripts and styles on its own page, and on no other."""

PAGE = "book/laboratory"
# Each finds what the ones before it have added.
SCRIPTS = (
    "lab",
    "maps",
    "products",
    "activations",
    "layers",
    "net",
    "floors",
    "random",
    "drawing",
    "architectures",
    "training",
    "diagnosis",
    "crew",
    "stuck",
    "looking",
    "places",
    "nets/strided",
    "nets/zero-fill",
    "nets/nearest",
    "nets/mirrored-nearest",
    "nets/mirrored-argmax",
    "nets/collapsed",
    "nets/dead-phases",
    "nets/narrow",
    "nets/denoiser",
    "digits/test",
    "known",
    "draw",
    "inside",
    "pixel",
    "curve",
    "train",
    "ask",
)


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_files(app, pagename, templatename, context, doctree):
    """Add the laboratory's files to its page."""
    if pagename != PAGE:
        return
    app.add_css_file("lab/lab.css")
    for name in SCRIPTS:
        # Deferred: the page is painted first, and the order is kept.
        app.add_js_file(f"lab/{name}.js", loading_method="defer")
