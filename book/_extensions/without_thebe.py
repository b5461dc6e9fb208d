"""Leave out sphinx-thebe's scripts.

Jupyter Book always loads that extension and adds its script twice, which every browser reports as
an error; this book has no live-code button that would need it.
"""


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("html-page-context", drop_thebe_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def drop_thebe_scripts(app, pagename, templatename, context, doctree):
    """Drop the scripts whose file name or content speaks of thebe."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in _text(script)
    ]


def _text(script):
    return f"{script.filename} {script.attributes.get('body', '')}"
