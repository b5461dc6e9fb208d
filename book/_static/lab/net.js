"use strict";
Lab.part(function net(Lab) {
  // A chain of layers, made from a description: a list of {kind, name, …}.  A pooling's name stands
  // in `pooling` where an unpooling needs its places.
  class Net {
    constructor({ layers, logits = false }) {
      const byName = {};
      this.layers = layers.map(({ kind, pooling, ...rest }) => {
        const layer = new Lab.layers[kind]({ ...rest, pooling: byName[pooling] });
        return (byName[layer.name] = layer);
      });
      this.silent = new Set(); // numbers of code maps
      this.black = new Set(); // numbers of output phases
      this.period = Lab.periodOf(layers); // how many phases there are in a row
      this.elsewhere = null; // instead of a pooling's own places: a function from it to places
      this.logits = logits; // whether the picture is the sigmoid of the output
      this.count = this.layers.reduce((sum, layer) => sum + layer.count, 0);
      this.weights = new Float32Array(this.count);
      this.gradients = new Float64Array(this.count);
      let start = 0;
      for (const layer of this.layers) {
        const end = start + layer.count;
        layer.use(this.weights.subarray(start, end), this.gradients.subarray(start, end));
        start = end;
      }
    }

    // Take weights in Keras' order.  Keras keeps a kernel by row, column, depth and filter; here all
    // numbers of one filter lie together.
    fill(weights) {
      let start = 0;
      for (const { size, depth, filters, biases, kernels, bias } of this.weighted()) {
        const each = size * size * depth;
        for (let i = 0; i < each; i++) {
          for (let f = 0; f < filters; f++) kernels[f * each + i] = weights[start + i * filters + f];
        }
        start += each * filters;
        bias.set(weights.subarray(start, start + biases));
        start += biases;
      }
      return this;
    }

    weighted() {
      return this.layers.filter(({ count }) => count);
    }

    forward(image) {
      return this.layers.reduce((maps, layer) => {
        const output = layer.forward(maps);
        if (this.elsewhere && layer.places) layer.places = this.elsewhere(layer);
        return this.silenced(layer, output);
      }, image);
    }

    // The code without the maps that somebody switched off.
    silenced({ name }, maps) {
      if (name !== "code") return maps;
      for (const channel of this.silent) {
        for (let i = channel; i < maps.values.length; i += maps.channels) maps.values[i] = 0;
      }
      return maps;
    }

    picture(image) {
      const output = this.forward(image);
      if (this.logits) return output.like(output.values.map(Lab.activations.sigmoid.of));
      if (this.black.size) {
        output.values.forEach((_, i) => {
          if (this.black.has(Lab.phaseOf(i, this.period, output.width))) output.values[i] = 0;
        });
      }
      return output;
    }

    // Add to the gradients of all weights, from the gradient with respect to the last output.
    backward(gradient) {
      for (let i = this.layers.length - 1; i >= 0; i--) {
        gradient = this.layers[i].backward(gradient, i > 0);
      }
    }

    // What somebody has switched, in words.
    changes() {
      const off = ({ size }, what) => (size ? [`${size} ${what}${size > 1 ? "s" : ""} off`] : []);
      return [
        ...off(this.silent, "code map"),
        ...off(this.black, "phase"),
        ...(this.elsewhere ? ["other places"] : []),
      ];
    }

    undo() {
      this.silent.clear();
      this.black.clear();
      this.elsewhere = null;
    }

    get(name) {
      return this.layers.find((layer) => layer.name === name);
    }
  }

  // Pixels that share no weight in the last layer: two layers of stride 2 give 4 × 4 phases.
  Lab.periodOf = (layers) =>
    layers.reduce((period, { kind, size, stride }) => {
      if (kind === "transposed convolution") return period * stride;
      return kind === "zero-fill" ? period * size : period;
    }, 1);

  // The phase of pixel i of a picture, counted row by row.
  Lab.phaseOf = (i, period, width) =>
    (Math.floor(i / width) % period) * period + ((i % width) % period);

  // Numbers come to the page as text.
  Lab.bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  Lab.floats = (text) => new Float32Array(Lab.bytes(text).buffer);

  Lab.Net = Net;
});
