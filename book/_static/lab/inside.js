"use strict";
// The page's part between: all maps that a net makes of the drawing, and switches to see what each
// of them is for.
{
  const SCALE = 4; // screen pixels for one number, the same in all layers
  const LONE = 24; // for a map of one number
  const MOST = 64; // a layer with more maps, of one number each, isn't shown
  const find = (name) => document.getElementById(`lab-${name}`);
  const choice = find("inside-net");
  const layers = find("layers");
  let rows = []; // what is on show: a canvas for each map of each layer

  const chosen = () => Lab.answers.find(({ name }) => name === choice.value);

  // One map in grey: black is 0 or less, white the largest number of its layer.
  function paintMap(canvas, maps, channel, largest) {
    const image = new ImageData(maps.width, maps.height);
    for (let i = 0; i < maps.width * maps.height; i++) {
      const grey = Math.round((255 * Math.max(maps.values[i * maps.channels + channel], 0)) / largest);
      image.data.set([grey, grey, grey, 255], 4 * i);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function show() {
    for (const { layer, canvases } of rows) {
      const largest = layer.output.values.reduce((most, x) => Math.max(most, x), 1e-6);
      canvases.forEach((canvas, channel) => paintMap(canvas, layer.output, channel, largest));
    }
    sayPhases();
    sayPicture();
    find("all-maps").disabled = !Lab.answers.some(({ net }) => net.changes().length);
  }

  // The net's picture stays beside the switches.
  function sayPicture() {
    const { net, title, numbers, drawn } = chosen();
    Lab.paint(find("inside-picture"), drawn);
    const changes = net.changes();
    const state = changes.length ? `with ${changes.join(", ")}` : "as it was trained";
    find("inside-say").textContent =
      `${title}, ${state}: loss ${numbers.loss.textContent} on this drawing.`;
  }

  function build() {
    const { net } = chosen();
    layers.replaceChildren();
    rows = [];
    net.layers.forEach((layer, index) => {
      if (layer.output.channels <= MOST) rows.push(addRow(net, layer, index));
    });
    buildPhases();
    buildPlaces();
    show();
    document.dispatchEvent(new CustomEvent("lab-inside", { detail: { net, rows } }));
  }

  function addRow(net, layer, index) {
    const { height, width, channels } = layer.output;
    const heading = Lab.element("p", {}, `${layer.name}: ${height} × ${width} × ${channels}`);
    const row = Lab.element("div", { className: "lab-maps" });
    const canvases = Array.from({ length: channels }, (_, channel) => {
      const canvas = Lab.element("canvas", { width, height });
      Object.assign(canvas.dataset, { index, channel });
      canvas.style.width = `${width === 1 ? LONE : width * SCALE}px`;
      const frame = Lab.element("span", { className: "lab-map" }, canvas);
      const code = layer.name === "code";
      row.append(code ? Lab.element("span", {}, frame, lever(net, channel)) : frame);
      return canvas;
    });
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", `The maps of ${layer.name}`);
    layers.append(heading, row);
    return { layer, index, canvases };
  }

  // A button that puts a number into a set or takes it out, and is pressed while it isn't in there.
  function toggle(set, number, text, label) {
    const button = Lab.element("button", { type: "button" }, text);
    button.setAttribute("aria-label", label);
    button.setAttribute("aria-pressed", String(!set.has(number)));
    button.addEventListener("click", () => {
      if (!set.delete(number)) set.add(number);
      button.setAttribute("aria-pressed", String(!set.has(number)));
      switched();
    });
    return button;
  }

  // Without a code map, the decoder gets zeros instead.
  const lever = (net, channel) =>
    toggle(net.silent, channel, String(channel), `Code map ${channel}`);

  // ---- Output phases: only a last layer that can draw every pixel has phases to lose ----

  function buildPhases() {
    const { net, floor } = chosen();
    const { period } = net;
    const some = period > 1 && floor === "none";
    find("phases").hidden = !some;
    find("phase-buttons").style.gridTemplateColumns = `repeat(${period}, 2.5rem)`;
    const buttons = Array.from({ length: some ? period ** 2 : 0 }, (_, phase) => {
      const [row, column] = [Math.floor(phase / period), phase % period];
      return toggle(net.black, phase, `${row}, ${column}`, `Phase of row ${row}, column ${column}`);
    });
    find("phase-buttons").replaceChildren(...buttons);
  }

  const averages = {}; // of the loss that each phase has when it is black, over the test digits

  // The loss of black pixels in each phase of some images, as its part of the whole loss.
  function blackLosses(images, period) {
    const losses = new Array(period ** 2).fill(0);
    for (const { values, width } of images) {
      values.forEach((x, i) => {
        losses[Lab.phaseOf(i, period, width)] += x ** 2 / values.length / images.length;
      });
    }
    return losses;
  }

  function sayPhases() {
    const { net, numbers } = chosen();
    if (find("phases").hidden) return;
    const { period, black } = net;
    const all = period ** 2;
    if (!black.size) {
      find("phase-say").textContent = `All ${all} phases are drawn as the net draws them.`;
      return;
    }
    averages[period] ??= blackLosses(allTestDigits(), period);
    const sum = (losses) => [...black].reduce((total, phase) => total + losses[phase], 0);
    const total = averages[period].reduce((one, other) => one + other);
    const share = (black.size / all) * total;
    find("phase-say").textContent =
      `${black.size} of ${all} phases are black: the loss is ${numbers.loss.textContent}. ` +
      `Black pixels there have a loss of ${Lab.digitsOf(sum(blackLosses([Lab.given.image], period)))} ` +
      `on this drawing, and of ${Lab.digitsOf(sum(averages[period]))} on average over 500 test ` +
      `digits; ${black.size}/${all} of an all black picture’s average is ${Lab.digitsOf(share)}.`;
  }

  function allTestDigits() {
    const { bytes, labels } = Lab.digits.test;
    return Array.from(labels, (_, i) => Lab.imageAt(bytes, i));
  }

  // ---- Places of the maxima ----

  const places = find("places-from");
  let wanted = "own";

  function buildPlaces() {
    const { net } = chosen();
    const some = net.layers.some((layer) => layer.pooling);
    find("places").hidden = !some;
    places.value = net.elsewhere ? wanted : "own";
  }

  function move(net, from) {
    wanted = from;
    if (wanted === "own") net.elsewhere = null;
    else if (wanted in Lab.places) net.elsewhere = Lab.places[wanted]();
    else net.elsewhere = Lab.places.of(net, Lab.testDigit(wanted));
  }

  places.addEventListener("change", () => {
    move(chosen().net, places.value);
    switched();
  });

  // ---- Which net ----

  for (const { name, title } of Lab.answers) {
    choice.append(Lab.element("option", { value: name }, title));
  }
  choice.addEventListener("change", () => {
    build();
    toAddress();
  });
  find("all-maps").addEventListener("click", () => {
    for (const { net } of Lab.answers) net.undo();
    build();
    switched();
  });
  document.addEventListener("lab-answered", show);

  // Show a net's maps, and go there.
  Lab.lookInside = (name) => {
    choice.value = name;
    build();
    find("inside").closest("section").scrollIntoView();
    choice.focus({ preventScroll: true });
  };

  // ---- The net and its switches are in the address, so that a link can be sent ----

  function toAddress() {
    const { net } = chosen();
    const state = new URLSearchParams({ net: choice.value });
    if (net.black.size) state.set("phases", [...net.black].join("."));
    if (net.silent.size) state.set("maps", [...net.silent].join("."));
    if (net.elsewhere) state.set("places", wanted);
    history.replaceState(null, "", `#lab-inside&${state}`);
  }

  function switched() {
    toAddress();
    Lab.answerAgain();
  }

  // What a link names and the net has is switched; the rest is as the net was trained.
  function fromAddress() {
    const [part, ...rest] = location.hash.slice(1).split("&");
    const state = new URLSearchParams(rest.join("&"));
    const named = Lab.answers.find(({ name }) => name === state.get("net"));
    if (part !== "lab-inside" || !named) return;
    const { net, floor } = named;
    net.undo();
    const among = (key, count) =>
      (state.get(key) ?? "").split(".").filter((text) => /^\d+$/.test(text) && text < count);
    if (floor === "none") among("phases", net.period ** 2).forEach((i) => net.black.add(Number(i)));
    among("maps", net.get("code").output.channels).forEach((i) => net.silent.add(Number(i)));
    const allowed = [...places.options].some(({ value }) => value === state.get("places"));
    if (allowed && net.layers.some((layer) => layer.pooling)) move(net, state.get("places"));
    Lab.lookInside(named.name);
    Lab.answerAgain();
  }

  Lab.startInside = () => {
    build();
    fromAddress();
    addEventListener("hashchange", fromAddress);
  };
}
