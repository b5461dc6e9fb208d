"use strict";
// Point at a number of a map, and see where it comes from: the pixels of the drawing that it depends
// on, and what was summed.
{
  const find = (name) => document.getElementById(`lab-${name}`);
  const form = find("pixel-form");
  const { layer: layerChoice, channel: channelField, y: yField, x: xField } = form.elements;
  const mark = Lab.element("span", { className: "lab-mark" }); // on the map that is pointed at
  let shown = null; // the net, its rows of maps, and which number of which map
  let kept = false; // a click keeps a number while the pointer moves on

  const SMALLEST = 0.005; // what is nearer to 0 is written as 0
  const number = (x) => (Math.abs(x) < SMALLEST ? "0" : x.toFixed(2).replace("-", "−"));

  // ---- Choosing ----

  function point(index, channel, y, x) {
    const { output } = shown.net.layers[index];
    const within = (place, count) => Math.min(Math.max(Math.floor(place) || 0, 0), count - 1);
    Object.assign(shown, {
      index,
      channel: within(channel, output.channels),
      y: within(y, output.height),
      x: within(x, output.width),
    });
    layerChoice.value = index;
    for (const [field, count] of [
      [channelField, output.channels],
      [yField, output.height],
      [xField, output.width],
    ]) {
      field.max = count - 1;
      field.value = shown[field.name];
    }
    explain();
  }

  // The number under the pointer.
  function under({ target, clientX, clientY }) {
    const { index, channel } = target.dataset;
    if (index === undefined) return null;
    const box = target.getBoundingClientRect();
    const y = (target.height * (clientY - box.top)) / box.height;
    const x = (target.width * (clientX - box.left)) / box.width;
    return [Number(index), Number(channel), y, x];
  }

  find("layers").addEventListener("pointermove", (event) => {
    const place = !kept && event.pointerType === "mouse" && under(event);
    if (place) point(...place);
  });
  find("layers").addEventListener("click", (event) => {
    const place = under(event);
    if (!place) return;
    const before = [shown.index, shown.channel, shown.y, shown.x].join();
    point(...place);
    kept = !(kept && before === [shown.index, shown.channel, shown.y, shown.x].join());
    mark.classList.toggle("lab-kept", kept);
    find("pixel").classList.add("lab-chosen");
    find("pixel").scrollTop = 0;
  });
  form.addEventListener("input", ({ target }) => {
    if (target.value === "") return;
    kept = true;
    mark.classList.add("lab-kept");
    const same = target !== layerChoice;
    point(Number(layerChoice.value), channelField.value, yField.value, xField.value);
    if (!same) find("pixel-map").value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  find("pixel-map").addEventListener("change", () => showProducts(Number(find("pixel-map").value)));

  document.addEventListener("lab-inside", ({ detail }) => {
    shown = detail;
    kept = false;
    mark.classList.remove("lab-kept");
    layerChoice.replaceChildren(
      ...shown.rows.map(({ layer, index }) =>
        Lab.element("option", { value: index }, layer.name),
      ),
    );
    const { output } = shown.net.layers.at(-1);
    point(shown.net.layers.length - 1, 0, output.height / 2, output.width / 2);
  });
  document.addEventListener("lab-answered", () => shown && explain());

  // ---- Explaining ----

  let sum = null; // what was summed, where something was

  function explain() {
    const { net, rows, index, channel, y, x } = shown;
    const layer = net.layers[index];
    const { output } = layer;
    const { canvases } = rows.find((row) => row.index === index);
    place(mark, [y, y], [x, x], output);
    canvases[channel].parentElement.append(mark);
    showField(Lab.receptiveField(net, index, y, x));
    const value = output.values[output.index(y, x, channel)];
    const head = `${layer.name}, map ${channel}, row ${y}, column ${x}: ${number(value)}. `;
    sum = layer.taps ? Lab.summed(layer, y, x, channel) : null;
    find("pixel-say").textContent = head + story(layer, y, x, channel);
    showSum(layer);
  }

  // A frame around some rows and columns, in per cent of a picture's sides.
  function place(frame, rows, columns, { height, width }) {
    frame.style.top = `${(100 * rows[0]) / height}%`;
    frame.style.left = `${(100 * columns[0]) / width}%`;
    frame.style.height = `${(100 * (rows[1] - rows[0] + 1)) / height}%`;
    frame.style.width = `${(100 * (columns[1] - columns[0] + 1)) / width}%`;
  }

  function showField(field) {
    const { given } = Lab.given;
    Lab.paint(find("field"), given);
    const frame = find("field-frame");
    frame.hidden = !field;
    if (field) place(frame, field.rows, field.columns, given);
    const size = ([first, last]) => last - first + 1;
    const text = field
      ? `It depends on ${size(field.rows)} × ${size(field.columns)} pixels of the drawing`
      : "It depends on no pixel of the drawing";
    find("field-say").textContent = `${text}.`;
    find("field").setAttribute("aria-label", text);
  }

  function story(layer, y, x, channel) {
    if (sum) return storyOfSum(layer, y, x, channel);
    if (layer.shape) return "Nothing is computed here: the numbers only change their order.";
    if (layer.places) {
      const numbers = Lab.block(layer, y, x, channel).flat().map(({ value }) => number(value));
      return `The largest of ${numbers.join(", ")}.`;
    }
    const { input, size } = layer;
    const [row, column] = [Math.floor(y / size), Math.floor(x / size)];
    const i = input.index(row, column, channel);
    const from = `row ${row}, column ${column} of the layer before`;
    const copy = `A copy of the ${number(input.values[i])} in ${from}.`;
    if (!layer.pooling) {
      const never = "Zero, whatever the drawing: this unpooling fills only the top left of a block.";
      return layer.reads([y, y], { length: input.height }) && layer.reads([x, x], { length: input.width })
        ? copy
        : never;
    }
    const pixel = Math.floor(layer.pooling.places[i] / channelsOf(layer));
    const own = [Math.floor(pixel / layer.output.width), pixel % layer.output.width];
    if (own[0] === y && own[1] === x) return `${copy} The encoder’s maximum was in this place.`;
    return `The encoder’s maximum was in row ${own[0]}, column ${own[1]}; this place gets 0.`;
  }

  const channelsOf = ({ output }) => output.channels;

  function storyOfSum(layer, y, x, channel) {
    const { maps, bias } = sum;
    const total = layer.sums.values[layer.sums.index(y, x, channel)];
    const count = maps.length * maps[0].length * (maps[0][0]?.length ?? 0);
    const after = bias === null ? "" : ` and the bias ${number(bias)}`;
    const name = layer.activation.replace("_", " ");
    const activated =
      layer.activation === "linear"
        ? "It is"
        : `It is the ${name} of ${number(total)}, and that is`;
    const words = count === 1 ? "one product" : `the sum of ${count.toLocaleString("en")} products`;
    return `${activated} ${words}${after}.`;
  }

  // Which of the maps that were read is shown in full: at first the one that counts most.
  function showSum(layer) {
    const choice = find("pixel-map");
    find("sum").hidden = !sum || !sum.maps[0].length || sum.maps.length > 64;
    if (find("sum").hidden) return;
    const sums = sum.maps.map(Lab.sumOf);
    const most = sums.reduce((best, each, i) => (Math.abs(each) > Math.abs(sums[best]) ? i : best), 0);
    choice.replaceChildren(
      ...sums.map((each, i) =>
        Lab.element("option", { value: i }, `map ${i}: ${number(each)}`),
      ),
    );
    choice.value = most;
    find("sum-what").textContent = layer instanceof Lab.layers.convolution
      ? "Numbers under the kernel"
      : "Numbers whose stamps reach here";
    showProducts(most);
  }

  function showProducts(map) {
    const rows = sum.maps[map];
    const what = find("sum-what").textContent;
    fill(find("sum-values"), what, rows, ({ value }) => value);
    fill(find("sum-weights"), "Their weights in the kernel", rows, ({ weight }) => weight);
    fill(find("sum-products"), "Products", rows, ({ value, weight }) => value * weight);
    find("sum-total").textContent = `The products of this map add up to ${number(Lab.sumOf(rows))}.`;
  }

  // A grid of numbers, orange above zero and blue below.
  function fill(grid, name, rows, of) {
    const numbers = rows.map((row) => row.map(of));
    const largest = Math.max(...numbers.flat().map(Math.abs), 1e-6);
    grid.style.gridTemplateColumns = `repeat(${numbers[0].length}, minmax(0, 2.6rem))`;
    grid.replaceChildren(
      ...numbers.flat().map((x) => {
        const strength = (0.45 * Math.abs(x)) / largest;
        const colour = x > 0 ? "232, 113, 10" : "40, 120, 220";
        const cell = Lab.element("span", {}, number(x));
        cell.style.backgroundColor = `rgba(${colour}, ${strength.toFixed(2)})`;
        return cell;
      }),
    );
    const text = numbers.map((row) => row.map(number).join(" ")).join("; ");
    grid.setAttribute("aria-label", `${name}, row by row: ${text}`);
  }

  Lab.startInside();
}
