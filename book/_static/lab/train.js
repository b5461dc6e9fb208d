"use strict";
// The page's second part: train a net here, and see it live or die.
{
  const SHOWN = 8; // test digits whose pictures are shown
  const JUDGED = 100; // test digits on which the diagnosis rests
  const LOOK_EVERY = 10; // steps
  const FLOOR = "floor of the last layer";
  const CALM = matchMedia("(prefers-reduced-motion: reduce)"); // then the curve moves less often
  const AUTHOR = {
    net: "nearest",
    hidden: "sigmoid",
    output: "sigmoid",
    loss: "mse",
    rate: 0.01,
    width: 0.1,
    outputBias: null,
    warmup: 0,
    seed: 6,
  };
  // The same code with other first weights.
  const PRESETS = { author: AUTHOR, reader: { ...AUTHOR, seed: 1 } };

  const room = document.getElementById("lab-train");
  const form = room.querySelector("form");
  const find = (name) => document.getElementById(`lab-${name}`);
  const buttons = { run: find("run"), step: find("step"), again: find("again") };

  let run = null; // the run on show; null until its first step
  let crew = null;
  let running = false;
  let busy = false;

  // ---- Settings: in the form, and in the address, so that a link can be sent ----

  function settings() {
    const { elements } = form;
    const bias = elements.outputBias.value.trim();
    return {
      net: elements.net.value,
      hidden: elements.hidden.value,
      output: elements.output.value,
      loss: elements.loss.value,
      rate: Number(elements.rate.value),
      width: Number(elements.width.value),
      outputBias: bias === "" ? null : Number(bias),
      warmup: Number(elements.warmup.value),
      seed: Number(elements.seed.value),
    };
  }

  function enter(values) {
    for (const [name, value] of Object.entries(values)) {
      if (form.elements[name]) form.elements[name].value = value ?? "";
    }
    settled();
  }

  function settled() {
    const { elements } = form;
    // A cross-entropy needs probabilities, or logits to make them from.
    const bad = elements.loss.value === "bce" && !["sigmoid", "logits"].includes(elements.output.value);
    elements.output.setCustomValidity(
      bad ? "The cross-entropy needs an output of sigmoid or logits." : "",
    );
    const text = new URLSearchParams(
      Object.entries(settings()).map(([name, value]) => [name, value ?? ""]),
    );
    history.replaceState(null, "", `#lab-train&${text}`);
  }

  function fromAddress() {
    const [name, ...rest] = location.hash.slice(1).split("&");
    if (name !== "lab-train") return;
    form.reset(); // what a link doesn't name is as the page has it at first
    const given = new URLSearchParams(rest.join("&"));
    for (const [key, value] of given) {
      const field = form.elements[key];
      const allowed = field?.options ? [...field.options].some((o) => o.value === value) : true;
      if (field && allowed) field.value = value;
    }
    settled();
    room.scrollIntoView();
  }

  // ---- Digits: the training digits come when they are needed ----

  let pixels = null;

  async function allPixels() {
    if (pixels) return pixels;
    await new Promise((resolve, reject) => {
      const src = room.dataset.digits;
      document.head.append(
        Lab.element("script", { src, onload: resolve, onerror: reject }),
      );
    });
    const [training, test] = ["training", "test"].map((set) => Lab.bytes(Lab.digits[set].pixels));
    pixels = { bytes: new Uint8Array(training.length + test.length), training: training.length / 784 };
    pixels.bytes.set(training);
    pixels.bytes.set(test, training.length);
    pixels.test = Array.from({ length: JUDGED }, (_, i) =>
      Lab.imageAt(pixels.bytes, pixels.training + i),
    );
    return pixels;
  }

  // ---- The run ----

  async function begin() {
    const { bytes, training } = await allPixels();
    crew ??= new Lab.Crew();
    run = new Lab.Run(settings(), crew, bytes, training);
    await look();
  }

  function forget() {
    running = false;
    run = null;
    find("verdict").textContent = "";
    find("now").textContent = "Not started: press Run.";
    find("charts").hidden = true;
    find("losses").replaceChildren();
    find("losses").setAttribute("aria-label", "No losses yet");
    find("sums").replaceChildren();
    find("pictures").hidden = true;
    find("train-status").textContent = "";
    refresh();
  }

  function refresh() {
    buttons.run.textContent = running ? "Pause" : "Run";
    buttons.step.disabled = running || busy;
    buttons.again.disabled = !run;
  }

  // One step, and now and then a look at what the net draws.  Everything large happens in workers.
  async function step() {
    busy = true;
    refresh();
    try {
      if (!run) await begin();
      const mine = run;
      if (!mine) return; // started again meanwhile
      const started = performance.now();
      await mine.step();
      if (run !== mine) return;
      noteFloors();
      const looking = !running || run.losses.length % LOOK_EVERY === 0;
      if (looking || !CALM.matches) showLosses((performance.now() - started) / 1000);
      if (looking) await look();
    } catch (error) {
      running = false;
      console.error(error);
      find("train-status").textContent = "The net can’t be trained: a part of this page didn’t load.";
    } finally {
      busy = false;
      refresh();
    }
  }

  // One step, or as many as come until somebody pauses.  A loop that is under way goes on by itself.
  async function go() {
    if (busy) return;
    do await step();
    while (running);
  }

  // What black pictures and the best of this last layer would have on the same batch.
  function noteFloors() {
    run.others ??= othersFor(run.description, form.elements.loss.value === "mse");
    const images = run.batch.map((index) => Lab.imageAt(pixels.bytes, index));
    for (const { floor, losses } of run.others) {
      const of = Lab.floors[floor];
      losses.push(images.reduce((sum, image) => sum + of(image), 0) / images.length);
    }
  }

  function showLosses(seconds) {
    const { losses } = run;
    const loss = losses.at(-1);
    const floor = run.others.find(({ name }) => name === FLOOR);
    const name = run.others.length ? "loss" : "cross-entropy";
    const above = floor ? `, ${Lab.digitsOf(loss - floor.losses.at(-1))} above the floor` : "";
    find("now").textContent =
      `Step ${losses.length - 1}: ${name} ${Lab.digitsOf(loss)}${above}; ` +
      `${seconds.toFixed(2)} seconds a step.`;
    find("charts").hidden = false;
    find("others").hidden = !run.others.length;
    Lab.drawLosses(find("losses"), losses, run.others);
    const label = `The losses of ${losses.length} steps, the last ${Lab.digitsOf(loss)}`;
    find("losses").setAttribute("aria-label", label);
  }

  function othersFor(description, squared) {
    const floor = Lab.floorOf(description);
    const black = { name: "black pictures", floor: "black", losses: [] };
    if (!squared) return [];
    return floor === "none" ? [black] : [black, { name: FLOOR, floor, losses: [] }];
  }

  async function look() {
    const mine = run;
    const indices = pixels.test.map((_, i) => pixels.training + i);
    const answers = await mine.pictures(indices);
    if (run !== mine) return;
    const pictures = answers.map(({ maps }) => maps);
    const found = Lab.diagnose(run.description, pictures, pixels.test);
    const picture = found.picture ? ` (${found.picture})` : "";
    const steps = run.losses.length;
    const when = steps ? `After ${steps} step${steps > 1 ? "s" : ""}: ` : "Before the first step: ";
    const verdict = steps ? `${found.verdict}${picture}; ` : ""; // no net is judged untrained
    const lines = [`${when}${verdict}mean squared error ${Lab.digitsOf(found.loss)}`];
    if (found.floor) {
      const above = Lab.digitsOf(found.loss - found.floor);
      lines.push(`its last layer allows ${Lab.digitsOf(found.floor)} at best: ${above} above`);
    }
    lines.push(`pictures vary ${(100 * found.variation).toFixed(2)} % as much as the images`);
    find("verdict").textContent = `${lines.join("; ")}.`;
    find("train-status").textContent = `${lines[0]}.`;
    showPictures(pictures);
    const { activation } = run.net.weighted().at(-1);
    const drawn = run.net.logits ? "sigmoid" : activation;
    Lab.drawSums(find("sums"), answers.map(({ sums }) => sums), drawn);
  }

  function showPictures(pictures) {
    const room = find("pictures");
    room.hidden = false;
    if (!room.children.length) {
      for (let i = 0; i < SHOWN; i++) {
        for (const what of ["A test digit", "The net’s picture of it"]) {
          const canvas = Lab.element("canvas", { width: 28, height: 28 });
          canvas.setAttribute("role", "img");
          canvas.setAttribute("aria-label", what);
          canvas.style.gridRow = what === "A test digit" ? 1 : 2;
          room.append(canvas);
        }
      }
    }
    for (let i = 0; i < SHOWN; i++) {
      Lab.paint(room.children[2 * i], pixels.test[i]);
      Lab.paint(room.children[2 * i + 1], pictures[i]);
    }
  }

  buttons.run.addEventListener("click", () => {
    if (!form.reportValidity()) return;
    running = !running;
    refresh();
    if (running) go();
  });
  buttons.step.addEventListener("click", () => {
    if (form.reportValidity()) go();
  });
  buttons.again.addEventListener("click", forget);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    settled();
    forget(); // another net starts anew
  });
  room.addEventListener("click", ({ target }) => {
    const preset = PRESETS[target.closest("button")?.dataset.preset];
    if (!preset) return;
    enter(preset);
    forget();
    running = true;
    refresh();
    go();
  });

  fromAddress();
  addEventListener("hashchange", () => {
    fromAddress();
    forget();
  });
  forget();
}
