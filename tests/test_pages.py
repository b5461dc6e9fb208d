"""The rendered book, opened in a real browser."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [path for path in sorted((ROOT / "book").iterdir()) if path.suffix in (".md", ".ipynb")]
PAGES = [f"book/{path.stem}.html" for path in SOURCES]
NOTEBOOK_PAGES = [f"book/{path.stem}.html" for path in SOURCES if path.suffix == ".ipynb"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-sandbox"]


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def browser_path():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"CI needs a browser, one of {', '.join(BROWSERS)}")
    return found or pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")


@pytest.fixture(scope="session")
def html(browser_path, tmp_path_factory):
    """Render the book with warnings as errors."""
    output = tmp_path_factory.mktemp("book")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    options = ["--quiet", "-W", "-n", "--keep-going", "--path-output", output]
    built = subprocess.run(
        [jupyter_book, "build", *options, ROOT], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return output / "_build" / "html"


@pytest.fixture(scope="session")
def address(html):
    handler = functools.partial(SilentHandler, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(browser_path):
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open a page; return it with the list of what went wrong while it loaded."""
    contexts = []

    def open_page(path, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: _note_console(page, message))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: _note_other_host(page, request, address))
        page.on("response", lambda response: _note_failure(page, response))
        page.goto(f"{address}/{path}", wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()


def _note_console(page, message):
    if message.type in ("error", "warning"):
        page.complaints.append(message.text)


def _note_other_host(page, request, address):
    if not request.url.startswith((address, "data:", "blob:")):
        page.complaints.append(f"asks another host: {request.url}")


def _note_failure(page, response):
    if response.status >= 400:
        page.complaints.append(f"{response.status}: {response.url}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", PAGES)
def test_page_loads_cleanly_and_needs_no_sideways_scroll(visit, path, width, scheme):
    page = visit(path, width, scheme)
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("path", PAGES)
def test_every_image_has_alt_text_and_loads(visit, path):
    images = "[...document.querySelectorAll('article img')]"
    page = visit(path)
    assert page.evaluate(f"{images}.filter(i => !i.alt).map(i => i.src)") == []
    page.evaluate(f"{images}.forEach(i => i.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    assert page.evaluate(f"{images}.filter(i => !i.naturalWidth).map(i => i.src)") == []


@pytest.mark.parametrize("path", PAGES)
def test_every_internal_link_resolves(visit, html, path):
    links = visit(path).eval_on_selector_all("a[href]", "all => all.map(a => a.href.split('?')[0])")
    origin = "/".join(links[0].split("/")[:3])
    for link in {link for link in links if link.startswith(origin)}:
        target, _, anchor = link.removeprefix(origin + "/").partition("#")
        file = html / (target or "index.html")
        assert file.is_file(), link
        if anchor and file.suffix == ".html":
            assert f'id="{anchor}"' in file.read_text(), link


@pytest.mark.parametrize("path", NOTEBOOK_PAGES)
def test_solutions_are_folded_and_unfold(visit, path):
    page = visit(path)
    solutions = page.locator(".solution.dropdown, .solution.admonition")
    assert solutions.count() >= 3
    body = solutions.first.locator(".cell").first
    assert not body.is_visible()
    solutions.first.locator("button, summary").first.click()
    body.wait_for(state="visible")


@pytest.mark.parametrize("path", NOTEBOOK_PAGES)
def test_formulas_are_set(visit, path):
    page = visit(path)
    assert page.locator(".math").count() == page.locator(".math mjx-container").count()


def test_animation_plays_and_follows_the_slider(visit):
    page = visit("book/01_transposed_convolution.html")
    animation = page.locator(".animation").first
    last = animation.locator("img").get_attribute("src")
    animation.locator("button").click()
    assert animation.locator("img").get_attribute("src") != last
    assert animation.locator("button").inner_text() == "Pause"
    animation.locator("input").fill("4")
    assert animation.locator("img").get_attribute("src") == last
    assert animation.locator("button").inner_text() == "Play"


def test_search_finds_a_term(visit):
    page = visit("search.html?q=sixteenth")
    page.wait_for_selector("#search-results li")
    assert "strided autoencoder" in page.locator("#search-results").inner_text().lower()


def test_theme_switch_changes_the_theme(visit):
    page = visit("book/intro.html")
    themes = set()
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        themes.add(page.evaluate("document.documentElement.dataset.mode"))
    assert themes == {"light", "dark", "auto"}
