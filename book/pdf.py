"""Print the book, built as a single page, to a PDF.

    python book/pdf.py _build/singlehtml _build/book.pdf

The single page comes from `jupyter-book build --builder singlehtml .`
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ROOT_PAGE = "book/intro.html"
PAPER = {
    "format": "A4",
    "margin": dict.fromkeys(["top", "bottom", "left", "right"], "18mm"),
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": '<span class="pageNumber" style="margin: auto; font-size: 8pt"></span>',
    "outline": True,
    "tagged": True,
}


def find_browser():
    """Return the path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def place_at_root(folder):
    """Move the single page to where its links to pictures and styles lead from."""
    # Sphinx writes the page under the root document's name, in a folder, but links as from above.
    page = (folder / ROOT_PAGE).read_text()
    single = folder / "index.html"
    single.write_text(page.replace(f'href="{ROOT_PAGE}#', 'href="#'))
    return single


def print_to_pdf(folder, pdf):
    """Write the single page that lies in a folder to a PDF with an outline."""
    browser_path = find_browser()
    if browser_path is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(
            place_at_root(folder).absolute().as_uri(),
            wait_until="networkidle",
        )
        page.evaluate("document.fonts.ready")  # the formulas'
        page.pdf(path=pdf, **PAPER)
        browser.close()


if __name__ == "__main__":
    print_to_pdf(*map(Path, sys.argv[1:]))
