"use strict";
// Losses, their gradients, and Adam: what `cae.train` does, image by image.
Lab.part(function training(Lab) {
  const CLIP = 1e-7; // Keras keeps probabilities this far from 0 and 1
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // Each loss of one number: how large it is, and its slope.  `z` is what the net gave, `x` the pixel.
  const LOSSES = {
    mse: (z, x) => [(z - x) ** 2, 2 * (z - x)],
    "mse of logits": (z, x) => {
      const p = sigmoid(z);
      return [(p - x) ** 2, 2 * (p - x) * p * (1 - p)];
    },
    bce: (z, x) => {
      const p = Math.min(Math.max(z, CLIP), 1 - CLIP);
      const slope = p === z ? (p - x) / (p * (1 - p)) : 0;
      return [-x * Math.log(p) - (1 - x) * Math.log(1 - p), slope];
    },
    "bce of logits": (z, x) => {
      const loss = Math.max(z, 0) - z * x + Math.log1p(Math.exp(-Math.abs(z)));
      return [loss, sigmoid(z) - x];
    },
  };

  // Run some images forward and backward.  Gives their part of the loss of a batch of `size` images;
  // their gradients are added to `net.gradients`.
  Lab.share = (net, loss, images, size) => {
    const ofPixel = LOSSES[net.logits ? `${loss} of logits` : loss];
    let sum = 0;
    for (const image of images) {
      const output = net.forward(image);
      const gradient = output.like();
      const all = size * output.values.length; // the loss is a mean over all pixels of the batch
      for (let i = 0; i < output.values.length; i++) {
        const [value, slope] = ofPixel(output.values[i], image.values[i]);
        sum += value / all;
        gradient.values[i] = slope / all;
      }
      net.backward(gradient);
    }
    return sum;
  };

  // Kingma and Ba's algorithm, with TensorFlow 1's ε.  Keras' own is ten times larger.
  const FIRST = 0.9;
  const SECOND = 0.999;
  const EPSILON = 1e-8;

  Lab.Adam = class {
    constructor(count, { rate, warmup = 0 }) {
      Object.assign(this, { rate, warmup, steps: 0 });
      this.mean = new Float32Array(count); // of the gradients
      this.square = new Float32Array(count); // of their squares
    }

    // The rate rises over the first steps, in equal steps.
    currentRate() {
      const { rate, warmup, steps } = this;
      if (steps >= warmup) return rate;
      return rate - (rate - rate / warmup) * (1 - steps / warmup);
    }

    // How much of a mean has come together, 1 − decayⁿ; rounded to float32, as Keras does it: where
    // the decay is near 1, the losses show the rounding in the fifth digit.
    seen(decay) {
      const { fround } = Math;
      return fround(1 - fround(fround(decay) ** this.steps));
    }

    step(weights, gradients) {
      const rate = this.currentRate();
      this.steps++;
      const correction = Math.sqrt(this.seen(SECOND)) / this.seen(FIRST);
      const { mean, square } = this;
      for (let i = 0; i < weights.length; i++) {
        const gradient = gradients[i];
        mean[i] += (gradient - mean[i]) * (1 - FIRST);
        square[i] += (gradient * gradient - square[i]) * (1 - SECOND);
        weights[i] -= (rate * correction * mean[i]) / (Math.sqrt(square[i]) + EPSILON);
      }
    }
  };

  // Batches without end: the images are shuffled anew for each pass, and a pass starts where the one
  // before it ended, within a batch if need be.
  Lab.Batches = class {
    constructor(count, size, seed) {
      Object.assign(this, { count, size, random: Lab.generator(seed), left: [] });
    }

    next() {
      while (this.left.length < this.size) {
        this.left.push(...Lab.shuffled(this.count, this.random));
      }
      return this.left.splice(0, this.size);
    }
  };

  // One image out of many, whose bytes lie one after the other.
  Lab.imageAt = (bytes, index, side = 28) => {
    const start = index * side * side;
    const values = Float32Array.from(bytes.subarray(start, start + side * side), (x) => x / 255);
    return new Lab.Maps(side, side, 1, values);
  };
});
