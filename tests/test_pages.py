"""The rendered book, opened in a real browser."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import itertools
import re
import subprocess
import sys
import threading
from html import escape, unescape
from pathlib import Path
from urllib.parse import urljoin

import nbformat
import pytest
from reference import HANGING

ROOT = Path(__file__).parent.parent
SOURCES = [path for path in sorted((ROOT / "book").iterdir()) if path.suffix in (".md", ".ipynb")]
PAGES = [f"book/{path.stem}.html" for path in SOURCES]
RAN = [f"book/{path.name}" for path in SOURCES if path.suffix == ".ipynb"]
NOTEBOOK_PAGES = [f"book/{path.stem}.html" for path in SOURCES if path.suffix == ".ipynb"]
HEAVIEST = 1_500_000  # bytes of a page with all it loads, compressed
# The logo stands in no landmark, which the theme alone could change.
EXCUSED = {("region", ".only-light")}
# The theme sets tab stops 300 milliseconds after the last change of size. A later timer of the
# page's own runs after that one, however loaded the machine is.
TAB_STOPS_SET = "new Promise(done => setTimeout(done, 600))"


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


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
def visit(browser, address):
    """Open a page and note what goes wrong while it loads."""

    def open_page(path):
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.set_default_timeout(1000 * HANGING)
        page.complaints = []
        page.loaded = set()
        page.on("console", lambda message: _note_console(page, message))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: _note_other_host(page, request, address))
        page.on("response", lambda response: _note_failure(page, response))
        page.on("requestfinished", lambda request: page.loaded.add(request.url))
        page.goto(f"{address}/{path}", wait_until="networkidle")
        return page

    return open_page


@pytest.fixture(scope="module", params=PAGES)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def opened(path, visit):
    """Open a page once, as soon as a test that leaves it as it is asks for it."""
    pages = []
    yield lambda: pages[0] if pages else pages.append(visit(path)) or pages[0]
    for page in pages:
        page.close()


@pytest.fixture
def page(request, path, surroundings, html, opened):
    """One page of the book; skipped where it is byte for byte what it was when the test passed."""
    with _remembered(request, surroundings, html / path):
        yield opened()


@pytest.fixture
def new_page(request, path, surroundings, html, visit):
    """As `page`, for a test that changes it; notebooks alone."""
    if path not in NOTEBOOK_PAGES:
        pytest.skip("not a notebook")
    with _remembered(request, surroundings, html / path):
        page = visit(path)
        yield page
        page.close()


@pytest.fixture(scope="session")
def surroundings(html, browser):
    """Return a digest of what all pages load, of the browser, and of these tests."""
    files = sorted(path for path in (html / "_static").rglob("*") if path.is_file())
    digest = hashlib.sha256(browser.version.encode())
    for path in [*files, Path(__file__), ROOT / "requirements.txt"]:
        digest.update(path.read_bytes())
    return digest


@contextlib.contextmanager
def _remembered(request, surroundings, file):
    """Skip a test that has passed with the same bytes, else remember them if it passes."""
    digest = surroundings.copy()
    for each in (file, *_pictures(file)):
        digest.update(each.read_bytes())
    key = f"pages/{request.node.name}"
    cache = getattr(request.config, "cache", None)  # none with -p no:cacheprovider
    if cache and cache.get(key, None) == digest.hexdigest():
        pytest.skip("passed already, and nothing that it looks at has changed")
    failed = request.session.testsfailed
    yield
    if cache and request.session.testsfailed == failed:
        cache.set(key, digest.hexdigest())


def _pictures(file):
    sources = re.findall(r'<img\b[^>]*\bsrc="([^":?]*)"', file.read_text())
    return sorted(file.parent / source for source in set(sources))


def _note_console(page, message):
    if message.type in ("error", "warning"):
        page.complaints.append(message.text)


def _note_other_host(page, request, address):
    if not request.url.startswith((address, "data:", "blob:")):
        page.complaints.append(f"asks another host: {request.url}")


def _note_failure(page, response):
    if response.status >= 400:
        page.complaints.append(f"{response.status}: {response.url}")


def _load_all_images(page):
    page.eval_on_selector_all("article img", "all => all.forEach(i => i.loading = 'eager')")
    page.wait_for_load_state("networkidle")


@functools.cache
def _gzipped(file):
    return len(gzip.compress(file.read_bytes()))


def test_page_loads_cleanly(page):
    assert page.complaints == []


# What fits doesn't depend on the theme, and the theme not on the width: each is met once.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_page_fits_and_follows_the_readers_theme(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.reload()  # as a reader's device loads it
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


def test_every_image_has_alt_text_and_loads(page):
    images = "[...document.querySelectorAll('article img')]"
    assert page.evaluate(f"{images}.filter(i => !i.alt).map(i => i.src)") == []
    _load_all_images(page)
    assert page.evaluate(f"{images}.filter(i => !i.naturalWidth).map(i => i.src)") == []


def test_page_with_all_it_loads_is_light(page, html):
    _load_all_images(page)
    files = {url.split("?")[0].split("#")[0] for url in page.loaded if url.startswith("http")}
    sizes = {path: _gzipped(html / path.split("/", 3)[3]) for path in files}
    assert sum(sizes.values()) < HEAVIEST, sorted(sizes.items(), key=lambda item: -item[1])


# A link depends on two pages, so this looks at all of them each time.
@pytest.mark.parametrize("path", PAGES)
def test_every_internal_link_resolves(html, path):
    links = re.findall(r'<a\b[^>]*\bhref="([^"]*)"', (html / path).read_text())
    assert links
    for link in {unescape(link) for link in links}:
        target, _, anchor = urljoin(f"/{path}", link).partition("#")
        if not target.startswith("/"):
            continue  # another site's
        file = html / target.split("?")[0].lstrip("/")
        assert file.is_file(), link
        if anchor and file.suffix == ".html":
            part = anchor.split("&")[0]  # the laboratory's settings come after its part
            assert f'id="{part}"' in file.read_text(), link


def test_every_table_fits_its_column(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()  # the sidebars slide for a while after a change of size
    hidden = "all => all.filter(t => t.scrollWidth > t.clientWidth + 1).length"
    assert page.eval_on_selector_all(".pst-scrollable-table-container", hidden) == 0


def test_every_formula_is_set(page):
    assert page.locator(".math").count() == page.locator(".math mjx-container").count()


def test_headings_are_in_order(page):
    levels = page.eval_on_selector_all(
        "h1, h2, h3, h4, h5, h6",
        "all => all.filter(h => h.checkVisibility()).map(h => Number(h.tagName[1]))",
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), levels


def test_page_tells_its_language(page):
    assert page.evaluate("document.documentElement.lang") == "en"


def test_every_icon_is_drawn(page):
    icons = page.locator("i[class*=fa-]")
    signs = "all => all.map(i => getComputedStyle(i, '::before').content)"
    assert icons.count() >= 5
    assert not {"none", "normal", '""'} & set(icons.evaluate_all(signs))


# A page's structure is the same in both themes, its colours are not.
@pytest.mark.parametrize(
    ("scheme", "rules"), [("light", None), ("dark", ["color-contrast"])], ids=["light", "dark"]
)
def test_page_is_accessible_with_all_unfolded(page, scheme, rules):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
    folded = "article details:not([open]) > summary, .toggle-hidden .toggle-button"
    page.eval_on_selector_all(folded, "all => all.forEach(button => button.click())")
    if rules is None:  # contrast has nothing to do with tab stops
        page.evaluate(TAB_STOPS_SET)
    page.evaluate("Promise.all(document.getAnimations().map(a => a.finished))")
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = axe.run(page, options=options).response["violations"]
    faults = {(fault["id"], node["target"][0]) for fault in found for node in fault["nodes"]}
    assert faults <= EXCUSED


def test_paper_shows_the_text_alone_and_all_of_it(new_page):
    page = new_page
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    folded = page.locator(".solution .cell, article details > :not(summary)")
    hidden = "all => all.filter(e => !e.checkVisibility({visibilityProperty: true})).length"
    assert folded.count() >= 6
    assert folded.evaluate_all(hidden) == 0
    assert not page.locator(".bd-sidebar-primary, .bd-sidebar-secondary").first.is_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_solutions_are_folded_and_unfold(new_page):
    page = new_page
    solutions = page.locator(".solution.dropdown, .solution.admonition")
    assert solutions.count() >= 3
    body = solutions.first.locator(".cell").first
    assert not body.is_visible()
    solutions.first.locator("button, summary").first.click()
    body.wait_for(state="visible")


def test_animation_plays_and_follows_the_slider(visit):
    page = visit("book/01_transposed_convolution.html")
    animation = page.locator(".animation").first
    last = animation.locator("img").get_attribute("src")
    # In one call, so that no later picture comes in between.
    started = "a => { const b = a.querySelector('button'); b.click(); return b.innerText; }"
    both = f"a => [({started})(a), a.querySelector('img').getAttribute('src')]"
    label, picture = animation.evaluate(both)
    assert label == "Pause"
    assert picture != last
    animation.locator("input").fill("4")
    assert animation.locator("img").get_attribute("src") == last
    assert animation.locator("button").inner_text() == "Play"


def test_skip_link_leads_past_the_sidebar(visit):
    page = visit("book/intro.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#main-content') !== null")
    page.close()


@pytest.mark.parametrize("path", NOTEBOOK_PAGES)
def test_notebook_can_be_downloaded(html, path):
    links = re.findall(r'href="([^"]+\.ipynb)"', (html / path).read_text())
    assert links
    for link in links:
        notebook = nbformat.read((html / path).parent / link, as_version=4)
        nbformat.validate(notebook)
        assert any(cell.get("outputs") for cell in notebook.cells)


def test_list_of_figures_has_them_all(html):
    text = (html / "book" / "figures.html").read_text()
    pictures = [cell for cell in _cells() if _has_picture(cell)]
    assert text.count("<dt>") == len(pictures)
    for cell in pictures:
        assert f"#{cell.metadata.mystnb.figure.name}" in text
        assert escape(cell.metadata.mystnb.image.alt.split("'")[0], quote=False) in text


def _cells():
    notebooks = [nbformat.read(path, as_version=4) for path in SOURCES if path.suffix == ".ipynb"]
    return [cell for notebook in notebooks for cell in notebook.cells]


def _has_picture(cell):
    return any(
        kind.startswith("image/")
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    )


def test_run_times_are_the_notebooks_own(html):
    text = (html / "book" / "run_times.html").read_text()
    cells = re.findall(r"<td[^>]*><p>(.*?)</p></td>", text)
    times = [re.findall(r"\d+", cell) for cell in cells if re.fullmatch(r"[\d min]+ s", cell)]
    stamps = [nbformat.read(ROOT / page, as_version=4).metadata.cae_lessons for page in RAN]
    assert [int(time[-1]) + 60 * int([0, *time][-2]) for time in times] == [
        stamp.seconds for stamp in stamps
    ]
    assert all(version in cells for stamp in stamps for version in stamp.versions.values())


def test_page_has_a_preview_card(page, html):
    card = page.eval_on_selector_all(
        "meta[property^='og:']", "all => all.map(m => [m.getAttribute('property'), m.content])"
    )
    card = dict(card)
    title = page.locator("article h1").evaluate("h => h.firstChild.textContent")
    assert card["og:title"] == title
    assert 0 < len(card["og:description"]) <= 200
    assert (html / "book" / card["og:image"]).is_file()


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


LABORATORY = "book/laboratory.html"
INK = """document.getElementById("lab-canvas").getContext("2d").getImageData(0, 0, 28, 28).data
  .filter((value, i) => i % 4 === 0 && value > 0).length"""


def _losses(page):
    """Return what the laboratory shows for each net: loss, floor, excess."""
    titles = page.locator(".lab-net .lab-title").all_inner_texts()
    numbers = page.locator(".lab-net").evaluate_all(
        "all => all.map(net => [...net.querySelectorAll('dd')].map(dd => dd.textContent))"
    )
    return dict(zip(titles, numbers, strict=True))


def _next_frame(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_laboratory_answers_what_the_mouse_draws(visit):
    page = visit(LABORATORY)
    page.locator("[data-action=clear]").click()
    _next_frame(page)
    assert page.evaluate(INK) == 0
    assert _losses(page)["Nearest"][1] == "0.00000"
    box = page.locator("#lab-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 3 * box["height"] / 4, steps=5)
    page.mouse.up()
    _next_frame(page)
    assert page.evaluate(INK) > 30
    black = float(page.locator("#lab-black").inner_text())
    for loss, floor, excess in _losses(page).values():
        least = 0 if floor == "none" else float(floor)
        assert float(loss) == pytest.approx(least + float(excess), abs=2e-5)
    assert float(_losses(page)["Nearest, collapsed"][0]) == pytest.approx(black, abs=1e-4)
    page.wait_for_function("document.getElementById('lab-status').textContent.includes('Nearest')")
    page.close()


def test_laboratory_draws_with_a_finger_without_scrolling(browser, address):
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(f"{address}/{LABORATORY}", wait_until="networkidle")
    page.locator("#lab-canvas").scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 100)")
    before, ink = page.evaluate("scrollY"), page.evaluate(INK)
    box = page.locator("#lab-canvas").bounding_box()
    finger = context.new_cdp_session(page)
    for step in range(9):
        point = {"x": box["x"] + 30, "y": box["y"] + box["height"] * (0.9 - step / 10)}
        kind = "touchMove" if step else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    _next_frame(page)
    assert page.evaluate(INK) > ink + 20
    assert page.evaluate("scrollY") == before
    context.close()


def test_laboratory_draws_by_the_keyboard(visit):
    page = visit(LABORATORY)
    page.locator("[data-action=clear]").click()
    page.locator("#lab-canvas").focus()
    for key in ["Space", *["ArrowDown"] * 6, *["ArrowRight"] * 4, "Space", "ArrowLeft"]:
        page.keyboard.press(key)
    _next_frame(page)
    assert page.evaluate(INK) > 20
    page.close()


def test_laboratory_centres_a_drawing_for_the_nets_alone(visit):
    page = visit(LABORATORY)
    as_drawn = _losses(page)
    page.locator("[name=centre]").check()
    _next_frame(page)
    assert _losses(page) == as_drawn  # MNIST's own digits are centred already
    for _ in range(4):
        page.locator("[data-shift=left]").click()
    _next_frame(page)
    assert _losses(page) == as_drawn
    page.locator("[name=centre]").uncheck()
    _next_frame(page)
    assert _losses(page) != as_drawn
    page.close()


def test_laboratory_works_from_disk(browser, html):
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((html / LABORATORY).as_uri())
    page.wait_for_selector(".lab-ready")
    assert len(_losses(page)) == page.evaluate("Lab.nets.length")
    assert complaints == []
    page.close()


def test_laboratory_trains_and_a_link_brings_the_settings(visit):
    page = visit(f"{LABORATORY}#lab-train&net=strided&hidden=relu&output=relu&rate=0.001&seed=4")
    assert page.locator("[name=net]").input_value() == "strided"
    assert page.locator("[name=rate]").input_value() == "0.001"
    page.locator("#lab-step").click()
    page.wait_for_function("document.getElementById('lab-now').textContent.startsWith('Step 0')")
    page.wait_for_function("document.getElementById('lab-verdict').textContent.includes('%')")
    page.locator("#lab-run").click()
    page.wait_for_function("document.getElementById('lab-now').textContent.startsWith('Step 3')")
    page.locator("#lab-run").click()
    page.wait_for_function("!document.getElementById('lab-step').disabled")
    page.locator("[name=rate]").fill("0.01")
    assert page.locator("#lab-now").inner_text() == "Not started: press Run."
    assert "rate=0.01&" in page.url
    assert page.complaints == []
    page.close()


STATES = {
    "03_dead_phases": [{"lab-inside-net": "strided"}],
    "06_nearest_resize_unpooling": [{"seed": "6", "warmup": "0"}, {"seed": "1", "warmup": "0"}],
    "07_mirrored_decoder": [{"lab-inside-net": "mirrored-argmax"}],
    "09_why_training_collapses": [{"seed": "1", "warmup": "0"}, {"seed": "1", "warmup": "100"}],
}


@pytest.mark.parametrize("chapter", STATES)
def test_chapters_lead_to_the_laboratory_as_they_say(visit, chapter):
    page = visit(f"book/{chapter}.html")
    links = page.locator("article a[href*='laboratory.html#lab-']")
    addresses = links.evaluate_all("all => all.map(a => a.href.split('/book/')[1])")
    page.close()
    assert len(addresses) == len(STATES[chapter])
    for address, state in zip(addresses, STATES[chapter], strict=True):
        page = visit(f"book/{address}")
        for name, value in state.items():
            assert page.locator(f"[name={name}], #{name}").first.input_value() == value
        assert page.locator("[name=rate]").input_value() == "0.01"  # the author's
        assert page.complaints == []
        page.close()


def test_laboratory_bears_hasty_hands(visit):
    page = visit(f"{LABORATORY}#lab-train&net=strided&hidden=relu&output=relu&seed=4")
    page.evaluate("for (const id of ['step', 'run']) document.getElementById(`lab-${id}`).click()")
    page.wait_for_function("document.getElementById('lab-now').textContent.startsWith('Step 3')")
    page.locator("[name=rate]").fill("0.001")  # in the middle of a step
    page.wait_for_function("!document.getElementById('lab-step').disabled")
    assert page.locator("#lab-now").inner_text() == "Not started: press Run."
    page.locator("#lab-step").click()
    page.locator("#lab-again").click()  # in the middle of the first look
    page.wait_for_function("!document.getElementById('lab-step').disabled")
    page.locator("#lab-step").click()
    page.wait_for_function("document.getElementById('lab-now').textContent.startsWith('Step 0')")
    assert page.complaints == []
    page.close()


def test_laboratory_says_when_its_digits_are_missing(visit):
    page = visit(LABORATORY)
    page.route("**/digits/training.js", lambda route: route.abort())
    page.locator("#lab-run").click()
    page.wait_for_function(
        "document.getElementById('lab-train-status').textContent.includes('load')"
    )
    assert page.locator("#lab-run").inner_text() == "Run"
    page.unroute("**/digits/training.js")
    page.locator("#lab-step").click()
    page.wait_for_function("document.getElementById('lab-now').textContent.startsWith('Step 0')")
    page.close()


def test_laboratory_moves_its_curve_seldom_for_who_asks_for_it(visit):
    page = visit(f"{LABORATORY}#lab-train&net=strided&hidden=relu&output=relu")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("""() => {
      const now = document.getElementById("lab-now");
      window.seen = [];
      new MutationObserver(() => seen.push(now.textContent)).observe(now, { childList: true });
    }""")
    page.locator("#lab-run").click()
    page.wait_for_function("seen.some((text) => text.startsWith('Step 19'))")
    seen = page.evaluate("seen.map((text) => parseInt(text.slice(5)))")
    assert [step for step in seen if step >= 0][:2] == [9, 19]
    page.close()


@pytest.mark.parametrize(("preset", "verdict"), [("author", "trained"), ("reader", "collapsed")])
def test_laboratory_shows_a_net_live_and_another_die(browser, html, preset, verdict):
    page = browser.new_page()
    page.set_default_timeout(1000 * HANGING)
    page.goto((html / LABORATORY).as_uri())
    page.locator(f"[data-preset={preset}]").click()
    page.wait_for_function(
        f"document.getElementById('lab-train-status').textContent.includes(': {verdict}')"
    )
    page.close()


def test_laboratory_judges_no_net_before_its_first_step_and_names_the_loss(visit):
    page = visit(
        f"{LABORATORY}#lab-train&net=strided&hidden=relu&output=sigmoid&loss=bce&width=0.01"
    )
    assert not page.locator("#lab-charts").is_visible()
    page.evaluate("""() => {
      const verdict = document.getElementById("lab-verdict");
      window.seen = [];
      const note = () => seen.push(verdict.textContent);
      new MutationObserver(note).observe(verdict, { childList: true });
    }""")
    page.locator("#lab-step").click()
    page.wait_for_function("seen.some((text) => text.startsWith('After 1 step: '))")
    first = page.evaluate("seen.find((text) => text)")
    assert first.startswith("Before the first step: mean squared error 0.2")
    assert "cross-entropy 0." in page.locator("#lab-now").inner_text()
    assert not page.locator("#lab-others").is_visible()  # the curve has no grey lines then
    page.close()


def test_laboratory_switches_code_maps_off(visit):
    page = visit(LABORATORY)
    before = _losses(page)
    maps = page.locator("#lab-layers button")
    assert maps.count() == 32
    for each in maps.all():
        each.click()
    _next_frame(page)
    after = _losses(page)
    assert after["Strided"][0] == page.locator("#lab-black").inner_text()  # relu, no bias: black
    assert after["Nearest"] == before["Nearest"]
    page.locator("#lab-all-maps").click()
    _next_frame(page)
    assert _losses(page) == before
    page.close()


def test_laboratory_explains_the_number_that_is_pointed_at(visit):
    page = visit(f"{LABORATORY}#lab-inside&net=strided")
    assert page.locator("#lab-inside-net").input_value() == "strided"
    say = page.locator("#lab-pixel-say")
    assert say.inner_text().startswith("reconstruction, map 0, row 14, column 14")
    page.locator("#lab-layers canvas[data-index='0']").nth(3).click(position={"x": 30, "y": 10})
    assert say.inner_text().startswith("convolution_1, map 3, row 2, column 7")
    assert "5 × 5 pixels" in page.locator("#lab-field-say").inner_text()
    products = page.locator("#lab-sum-products span")
    assert products.count() == 25
    page.locator("#lab-layers canvas[data-index='3']").hover()  # a click keeps the number
    assert say.inner_text().startswith("convolution_1, map 3")
    for name, value in (("layer", "1"), ("x", "6"), ("y", "0")):  # by the keyboard alone
        field = page.locator(f"#lab-pixel-form [name={name}]")
        field.select_option(value) if name == "layer" else field.fill(value)
    assert say.inner_text().startswith("code, map 3, row 0, column 6")
    assert page.complaints == []
    page.close()


def test_laboratory_switches_phases_and_places(visit):
    page = visit(LABORATORY)
    before = _losses(page)
    page.locator("#lab-nets button").first.click()  # the strided net's picture
    for button in page.locator("#lab-phase-buttons button").all():
        button.click()
    _next_frame(page)
    assert _losses(page)["Strided"][0] == page.locator("#lab-black").inner_text()
    assert page.locator("#lab-phase-say").inner_text().startswith("16 of 16 phases are black")
    page.locator("#lab-inside-net").select_option("mirrored-argmax")
    assert not page.locator("#lab-phases").is_visible()
    for places in ("3", "corner", "shuffled"):
        page.locator("#lab-places-from").select_option(places)
        _next_frame(page)
        assert _losses(page)["Mirrored, argmax"] != before["Mirrored, argmax"]
    assert "with other places" in page.locator("#lab-inside-say").inner_text()
    loss = _losses(page)["Mirrored, argmax"][0]
    assert f"loss {loss}" in page.locator("#lab-inside-say").inner_text()
    notes = page.locator(".lab-note").all_inner_texts()
    assert sorted(note for note in notes if note) == ["16 phases off", "other places"]
    page.locator("#lab-all-maps").click()  # of all nets
    _next_frame(page)
    assert _losses(page) == before
    assert not any(page.locator(".lab-note").all_inner_texts())
    assert page.locator("#lab-all-maps").is_disabled()
    page.close()


def test_a_link_brings_switches_and_switches_make_the_link(visit):
    page = visit(f"{LABORATORY}#lab-inside&net=strided&phases=5.7.99&maps=31&places=corner")
    _next_frame(page)
    say = page.locator("#lab-inside-say")
    assert say.inner_text().startswith("Strided, with 1 code map off, 2 phases off: loss 0.")
    page.locator("#lab-phase-buttons button").nth(7).click()
    assert page.url.endswith("#lab-inside&net=strided&phases=5&maps=31")
    page.locator("#lab-inside-net").select_option("mirrored-argmax")
    page.locator("#lab-places-from").select_option("shuffled")
    _next_frame(page)
    assert page.url.endswith("#lab-inside&net=mirrored-argmax&places=shuffled")
    assert page.complaints == []
    page.close()
    page = visit(f"{LABORATORY}#lab-inside&net=mirrored-argmax&places=shuffled")
    _next_frame(page)
    assert page.locator("#lab-places-from").input_value() == "shuffled"
    assert "with other places" in page.locator("#lab-inside-say").inner_text()
    page.close()


def test_laboratory_tells_what_a_loss_is_stuck_on(visit):
    page = visit(LABORATORY)
    page.locator("#lab-ask [name=value]").fill("0.1139")
    assert "all black" in page.locator("#lab-answer strong").inner_text()
    page.close()
