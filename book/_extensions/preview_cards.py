"""Open Graph tags: what other sites show of a page that is shared there."""

import html
import textwrap
from urllib.parse import urljoin

from docutils import nodes

IMAGE = "_static/floors.png"
IMAGE_ALT = "Test digits above the best pictures of them that three decoders can draw"


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_tags(app, pagename, templatename, context, doctree):
    """Add the tags of a page that has text of its own."""
    if doctree is None:
        return
    title = app.env.titles[pagename].astext()
    # Only where the book's address is known can the picture's be whole.
    site = app.config.html_baseurl
    tags = {
        "og:type": "article",
        "og:site_name": app.config.project or context["docstitle"],
        "og:title": title,
        "og:description": first_sentences(doctree) or title,
        "og:image": urljoin(site, IMAGE)
        if site
        else context["pathto"](IMAGE, 1),
        "og:image:alt": IMAGE_ALT,
    }
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<meta property="{name}" content="{html.escape(content)}">'
        for name, content in tags.items()
    )


def first_sentences(doctree, width=200):
    """Return the first paragraph that says something, shortened, or nothing."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = paragraph.astext()
        if isinstance(paragraph.parent, nodes.section) and len(text) > 60:
            return textwrap.shorten(text, width, placeholder=" …")
    return ""
