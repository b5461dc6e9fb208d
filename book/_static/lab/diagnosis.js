"use strict";
// What a net is stuck on, in the words of `cae.diagnose`.
Lab.part(function diagnosis(Lab) {
  const SAME_PICTURE = 1e-3; // the pictures' variance over that of the images
  const ALIKE = 0.02; // the root mean squared difference of two pictures that look the same
  const HARDLY = 0.95; // of the loss that black pixels would have

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // `pictures` and `images` are lists of maps, one for each digit.
  Lab.diagnose = (description, pictures, images) => {
    const loss = mean(images.map((image, i) => Lab.squaredError(pictures[i].values, image.values)));
    const floor = mean(images.map(Lab.floors[Lab.floorOf(description)]));
    const variation = variance(pictures) / variance(images);
    const phases = deadPhases(description, pictures, images);
    const found = { loss, floor, variation, phases, picture: null };
    if (!Number.isFinite(loss)) return { ...found, verdict: "diverged" };
    if (variation < SAME_PICTURE) {
      return { ...found, verdict: "collapsed", picture: nameOf(pictures, images) };
    }
    if (loss >= bestSinglePicture(description, images)) return { ...found, verdict: "untrained" };
    const dead = phases.filter(Boolean).length;
    if (!dead) return { ...found, verdict: "trained" };
    const picture = `${dead} of ${phases.length} phases black`;
    return { ...found, verdict: "partly dead", picture };
  };

  // The mean of each pixel over the digits.
  function meanImage(all) {
    const result = all[0].like(new Float64Array(all[0].values.length));
    for (const { values } of all) values.forEach((x, i) => (result.values[i] += x / all.length));
    return result;
  }

  // The variance from digit to digit, averaged over the pixels.
  function variance(all) {
    const middle = meanImage(all);
    return mean(all.map(({ values }) => Lab.squaredError(values, middle.values)));
  }

  // The loss of the best single picture that the last layer can draw.
  function bestSinglePicture(description, images) {
    return variance(images) + Lab.floors[Lab.floorOf(description)](meanImage(images));
  }

  function nameOf(pictures, images) {
    const drawn = Array.from(meanImage(pictures).values);
    const known = {
      "all black": () => 0,
      "all white": () => 1,
      "all ½": () => 0.5,
      constant: () => mean(drawn),
      "mean image": (i) => meanImage(images).values[i],
    };
    const fits = (of) => Math.sqrt(mean(drawn.map((x, i) => (x - of(i)) ** 2))) < ALIKE;
    return Object.keys(known).find((name) => fits(known[name])) ?? "one picture";
  }

  // For each output phase, whether its pixels are hardly better than black.  A phase that the last
  // layer leaves black by design doesn't count.
  function deadPhases({ layers }, pictures, images) {
    const period = Lab.periodOf(layers);
    if (period === 1) return [];
    const [errors, blacks] = [new Float64Array(period ** 2), new Float64Array(period ** 2)];
    images.forEach((image, n) => {
      image.values.forEach((x, i) => {
        const phase = Lab.phaseOf(i, period, image.width);
        errors[phase] += (x - pictures[n].values[i]) ** 2;
        blacks[phase] += x ** 2;
      });
    });
    const corners = layers.at(-1).kind === "zero-fill" ? layers.at(-1).size : 1;
    const drawn = (phase) => (Math.floor(phase / period) % corners) + (phase % corners) === 0;
    return Array.from(errors, (error, i) => drawn(i) && error > HARDLY * blacks[i]);
  }
});
