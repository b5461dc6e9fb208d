"use strict";
// The page's first part: a canvas to draw on, and every net's answer.
{
  const SIDE = 28;
  const QUIET = 700; // milliseconds after the last change before the losses are read out
  const room = document.getElementById("lab-draw");
  const canvas = document.getElementById("lab-canvas");
  const status = document.getElementById("lab-status");
  const input = (name) => room.querySelector(`[name=${name}]`);

  let drawing = Lab.blank();

  // Draw a picture of 28 × 28 pixels, black to white in either theme.
  Lab.paint = (canvas, { values }) => {
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const grey = Math.round(255 * Math.min(Math.max(values[i], 0), 1));
      image.data.set([grey, grey, grey, 255], 4 * i);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  };

  // An element with its properties and children.
  Lab.element = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Losses have five decimals everywhere, so that they can be compared at a glance.
  Lab.digitsOf = (loss) => loss.toFixed(5);

  // ---- The nets' answers ----

  const answers = Lab.nets.map((description) => {
    const net = new Lab.Net(description).fill(Lab.floats(description.weights));
    return { ...description, net, ...card(description) };
  });

  function card({ name, title, about, chapter }) {
    const picture = Lab.element("canvas", { width: SIDE, height: SIDE });
    picture.setAttribute("role", "img");
    const numbers = {};
    const list = Lab.element("dl");
    for (const name of ["loss", "floor", "excess"]) {
      numbers[name] = Lab.element("dd");
      list.append(Lab.element("div", {}, Lab.element("dt", {}, name), numbers[name]));
    }
    const bar = { floor: Lab.element("span"), excess: Lab.element("span") };
    const drawn = Lab.element("div", { className: "lab-bar" }, bar.floor, bar.excess);
    drawn.setAttribute("aria-hidden", "true"); // the numbers say the same
    const link = chapter ? Lab.element("a", { href: `${chapter}.html` }, title) : title;
    const heading = Lab.element("span", { className: "lab-title" }, link);
    const caption = Lab.element("figcaption", {}, heading, Lab.element("span", {}, about));
    const note = Lab.element("p", { className: "lab-note" });
    const door = Lab.element("button", { type: "button", title: "Look inside" }, picture);
    door.setAttribute("aria-label", `Look inside the net “${title}”`);
    door.addEventListener("click", () => Lab.lookInside(name));
    const figure = Lab.element("figure", { className: "lab-net" }, door, caption, list, drawn, note);
    document.getElementById("lab-nets").append(figure);
    return { picture, numbers, bar, note };
  }

  // The drawing, centred if the reader wants it so, is what the nets should draw.  What they get may
  // have noise on it.
  function answer() {
    const image = input("centre").checked ? Lab.centred(drawing) : drawing;
    const noise = Number(input("noise").value);
    const given = noise ? Lab.noisy(image, noise) : image;
    Lab.paint(canvas, drawing);
    Lab.paint(document.getElementById("lab-given"), given);
    const black = Lab.floors.black(image);
    Lab.given = { image, given, black };
    for (const each of answers) {
      const { net, title, floor, picture, numbers, bar, note } = each;
      const drawn = net.picture(given);
      each.drawn = drawn;
      const loss = Lab.squaredError(drawn.values, image.values);
      const least = Lab.floors[floor](image);
      Lab.paint(picture, drawn);
      picture.setAttribute("aria-label", `What the net “${title}” draws`);
      numbers.loss.textContent = Lab.digitsOf(loss);
      numbers.floor.textContent = floor === "none" ? "none" : Lab.digitsOf(least);
      numbers.excess.textContent = Lab.digitsOf(loss - least);
      const width = (part) => `${black ? Math.min(100, (100 * part) / black) : 0}%`;
      bar.floor.style.width = width(least);
      bar.excess.style.width = width(loss - least);
      note.textContent = net.changes().join(", ");
    }
    document.getElementById("lab-black").textContent = Lab.digitsOf(black);
    document.dispatchEvent(new Event("lab-answered"));
    readOut();
  }

  // Tell a screen reader the losses, but not at every stroke.
  let pause;
  function readOut() {
    clearTimeout(pause);
    pause = setTimeout(() => {
      const losses = answers.map(({ title, numbers }) => `${title} ${numbers.loss.textContent}`);
      status.textContent = `Losses on this drawing: ${losses.join("; ")}.`;
    }, QUIET);
  }

  // Many strokes may come between two frames; the nets answer once.
  let waiting = false;
  function changed() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      answer();
    });
  }

  // For what looks inside the nets.
  Lab.answers = answers;
  Lab.answerAgain = changed;
  Lab.testDigit = testDigit;

  // ---- Pen, finger and mouse ----

  let last = null; // where the pen was, while it is down

  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return [
      (SIDE * (clientX - box.left)) / box.width,
      (SIDE * (clientY - box.top)) / box.height,
    ];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    Lab.stroke(drawing, last, last);
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) {
      const next = place(each);
      Lab.stroke(drawing, last, next);
      last = next;
    }
    changed();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (last = null));
  }

  // ---- Keyboard ----

  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const cursor = document.getElementById("lab-cursor");
  let pen = [14, 14];
  let down = false;

  function showPen() {
    cursor.style.left = `${(100 * pen[0]) / SIDE}%`;
    cursor.style.top = `${(100 * pen[1]) / SIDE}%`;
    cursor.classList.toggle("lab-down", down);
  }

  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      const next = pen.map((x, axis) => Math.min(Math.max(x + step[axis], 0), SIDE));
      if (down) Lab.stroke(drawing, pen, next);
      pen = next;
    } else if (event.key === " ") {
      down = !down;
      if (down) Lab.stroke(drawing, pen, pen);
      status.textContent = down ? "Pen down." : "Pen up.";
    } else {
      return;
    }
    event.preventDefault(); // neither an arrow nor a space scrolls the page
    showPen();
    changed();
  });
  canvas.addEventListener("blur", () => {
    down = false;
    showPen();
  });

  // ---- Buttons ----

  const used = {}; // how many digits of each kind have been taken

  // One of the test digits that show a number.
  function testDigit(number, which = 0) {
    const { labels, pixels } = Lab.digits.test;
    Lab.digits.test.bytes ??= Lab.bytes(pixels);
    const found = [...labels].flatMap((label, i) => (label === number ? [i] : []));
    return Lab.imageAt(Lab.digits.test.bytes, found[which % found.length]);
  }

  // The next of them.
  function take(number) {
    used[number] = (used[number] ?? -1) + 1;
    drawing = testDigit(number, used[number]);
  }

  const shifts = { left: [0, -1], right: [0, 1], up: [-1, 0], down: [1, 0] };
  room.addEventListener("click", ({ target }) => {
    const { digit, shift, action } = target.closest("button")?.dataset ?? {};
    if (digit) take(digit);
    if (shift) drawing = Lab.shifted(drawing, ...shifts[shift]);
    if (action === "clear") drawing = Lab.blank();
    if (digit || shift || action) changed();
  });
  room.addEventListener("input", changed);

  take("7");
  showPen();
  answer();
  room.classList.add("lab-ready");
}
