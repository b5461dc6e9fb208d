"use strict";
// The page's part between: all maps that a net makes of the drawing, and a switch for each code map.
{
  const SCALE = 4; // screen pixels for one number, the same in all layers
  const choice = document.getElementById("lab-inside-net");
  const layers = document.getElementById("lab-layers");
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
  }

  function build() {
    const { net } = chosen();
    layers.replaceChildren();
    rows = net.layers.map((layer) => {
      const { height, width, channels } = layer.output;
      const heading = Lab.element("p", {}, `${layer.name}: ${height} × ${width} × ${channels}`);
      const row = Lab.element("div", { className: "lab-maps" });
      const canvases = Array.from({ length: channels }, (_, channel) => {
        const canvas = Lab.element("canvas", { width, height });
        canvas.style.width = `${width * SCALE}px`;
        row.append(layer.name === "code" ? lever(net, channel, canvas) : canvas);
        return canvas;
      });
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", `The maps of ${layer.name}`);
      layers.append(heading, row);
      return { layer, canvases };
    });
    show();
  }

  // A button that switches a code map off: the decoder then gets zeros instead.
  function lever(net, channel, canvas) {
    const button = Lab.element("button", { type: "button" }, canvas);
    button.setAttribute("aria-label", `Code map ${channel}`);
    button.setAttribute("aria-pressed", String(!net.silent.has(channel)));
    button.addEventListener("click", () => {
      if (!net.silent.delete(channel)) net.silent.add(channel);
      button.setAttribute("aria-pressed", String(!net.silent.has(channel)));
      Lab.answerAgain();
    });
    return button;
  }

  for (const { name, title } of Lab.answers) {
    choice.append(Lab.element("option", { value: name }, title));
  }
  choice.addEventListener("change", build);
  document.getElementById("lab-all-maps").addEventListener("click", () => {
    chosen().net.silent.clear();
    build();
    Lab.answerAgain();
  });
  document.addEventListener("lab-answered", show);
  build();
}
