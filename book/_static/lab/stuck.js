"use strict";
// Which picture a loss fits, as `cae.diagnose` says it of a number.
Lab.part(function stuck(Lab) {
  const TOLERANCE = 0.03; // relative: test and training images differ by 2 %
  const ABOVE_FLOOR = 0.08; // a trained net ends a little above what its last layer allows
  const NONE = "none of these";
  const PIXELS = 784;
  const KINDS = { mse: "mean squared error", bce: "binary cross-entropy" };

  const isPhases = (name) => name.includes("phases");

  const fits = (value, name, known) => {
    const above = name.startsWith("best") ? ABOVE_FLOOR : TOLERANCE;
    const away = value - known;
    return -TOLERANCE * known - 1e-6 <= away && away <= above * known + 1e-6;
  };

  // `known` are [picture, loss]; they come back in order of their distance.
  function fit(value, known, scale = "") {
    const away = ([, loss]) => Math.abs(loss - value);
    const nearest = [...known].sort((one, other) => away(one) - away(other));
    const fitting = nearest.filter(([name, loss]) => fits(value, name, loss));
    // A dead phase is one picture of many: a fixed picture that fits comes first.
    const best = fitting.find(([name]) => !isPhases(name)) ?? fitting[0];
    let verdict = best?.[0] ?? NONE;
    if (isPhases(verdict)) verdict += ", if the decoder has strides";
    return { verdict, scale, nearest };
  }

  // The same on the scales that tutorials report: summed over the pixels, as a square root, and so on.
  function fitOnAnotherScale(value, known, kind) {
    const both = [kind, kind === "mse" ? "bce" : "mse"];
    for (const each of both) {
      const losses = Object.entries(known[each]).filter(([name, loss]) => loss && !isPhases(name));
      const scales = {
        ...(each === kind ? {} : { "": 1 }),
        [`summed over the ${PIXELS} pixels`]: PIXELS,
        [`summed over the ${PIXELS} pixels and halved`]: PIXELS / 2,
        "times 1,000": 1000,
        ...(each === "mse" ? { "of pixels from 0 to 255": 255 ** 2 } : {}),
      };
      if (each === "mse") {
        const roots = losses.map(([name, loss]) => [name, Math.sqrt(loss)]);
        const root = fit(value, roots, "its square root");
        if (root.verdict !== NONE) return root;
      }
      for (const [scale, factor] of Object.entries(scales)) {
        const scaled = losses.map(([name, loss]) => [name, factor * loss]);
        const found = fit(value, scaled, `${KINDS[each]} ${scale}`.trim());
        if (found.verdict !== NONE) return found;
      }
    }
    return null;
  }

  // `known` are the losses of one data set, {mse: {picture: loss}, bce: …}.
  Lab.diagnoseLoss = (value, known, kind) => {
    if (!Number.isFinite(value)) return { verdict: "diverged", scale: "", nearest: [] };
    if (value < 0) return { verdict: "images outside [0, 1]", scale: "", nearest: [] };
    const asItIs = fit(value, Object.entries(known[kind]));
    if (asItIs.verdict !== NONE || value <= known[kind]["all ½"]) return asItIs;
    return fitOnAnotherScale(value, known, kind) ?? asItIs;
  };
});
