"use strict";
// Two drawings in SVG, which follow the theme's colours: the losses of a run, and what goes into the
// last layer's activation.
{
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const path = (points) => points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const WIDTH = 340;
  const HEIGHT = 220;
  const LEFT = 44;
  const BOTTOM = 26;
  const HIGHEST = 0.7; // a first loss may be far above all that come later

  const text = (x, y, words, more = {}) => svg("text", { x, y, ...more }, words);

  // The loss of each step, over other losses of the same batches: `others` are {name, losses}.
  Lab.drawLosses = (figure, losses, others) => {
    const all = [losses, ...others.map((other) => other.losses)].flat();
    const top = Math.max(0.02, 1.1 * Math.min(Math.max(...all), HIGHEST));
    const last = Math.max(losses.length - 1, 20);
    const x = (step) => LEFT + ((WIDTH - LEFT - 8) * step) / last;
    const y = (loss) => (HEIGHT - BOTTOM) * (1 - Math.min(loss / top, 1)) + 4;
    const line = (values) => path(values.map((loss, i) => [x(i), y(loss)]));
    const ticks = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75].filter((tick) => tick <= top);
    const apart = top > 0.4 ? ticks.filter((tick) => tick % 0.25 === 0) : ticks;
    figure.replaceChildren(
      ...apart.map((tick) => text(LEFT - 6, y(tick) + 4, tick.toFixed(2), { class: "lab-end" })),
      ...others.map((other) => svg("polyline", { points: line(other.losses), class: "lab-known" })),
      svg("polyline", { points: line(losses), class: "lab-loss" }),
      // At the right end, because the first steps are at the left one.
      ...others.map((other) =>
        text(WIDTH, y(other.losses.at(-1)) - 6, other.name, { class: "lab-end" }),
      ),
      text(LEFT, HEIGHT - 6, "step 0"),
      text(WIDTH, HEIGHT - 6, `step ${last}`, { class: "lab-end" }),
    );
  };

  const RANGE = 10; // sums beyond ±10 are counted at the margin
  const BINS = 40;

  // How the sums before the last activation are spread, under the activation's own curve.
  Lab.drawSums = (figure, sums, activation) => {
    const counts = new Array(BINS).fill(0);
    let all = 0;
    for (const values of sums) {
      for (const sum of values) {
        const bin = Math.floor((BINS * (sum + RANGE)) / (2 * RANGE));
        counts[Math.min(Math.max(bin, 0), BINS - 1)]++;
        all++;
      }
    }
    const { of } = Lab.activations[activation];
    const x = (sum) => LEFT + ((WIDTH - LEFT - 8) * (sum + RANGE)) / (2 * RANGE);
    const y = (value) => (HEIGHT - BOTTOM) * (1 - 0.9 * Math.min(Math.max(value, 0), 1)) + 4;
    const curve = Array.from({ length: 201 }, (_, i) => -RANGE + (i * RANGE) / 100);
    const width = x(2 * RANGE / BINS) - x(0) - 1;
    figure.replaceChildren(
      ...counts.map((count, i) => {
        const left = x(-RANGE + (2 * RANGE * i) / BINS);
        const height = y(0) - y(count / all);
        return svg("rect", { x: left, y: y(count / all), width, height, class: "lab-count" });
      }),
      svg("polyline", { points: path(curve.map((sum) => [x(sum), y(of(sum))])), class: "lab-loss" }),
      ...[0, 1].map((value) => text(LEFT - 6, y(value) + 4, String(value), { class: "lab-end" })),
      ...[-RANGE, 0, RANGE].map((sum) =>
        text(x(sum), HEIGHT - 6, sum < 0 ? `−${-sum}` : String(sum), { class: "lab-middle" }),
      ),
    );
  };
}
