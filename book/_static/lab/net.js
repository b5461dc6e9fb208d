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
      return this.layers.reduce((maps, layer) => this.silenced(layer, layer.forward(maps)), image);
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
      return this.logits ? output.like(output.values.map(Lab.activations.sigmoid.of)) : output;
    }

    // Add to the gradients of all weights, from the gradient with respect to the last output.
    backward(gradient) {
      for (let i = this.layers.length - 1; i >= 0; i--) {
        gradient = this.layers[i].backward(gradient, i > 0);
      }
    }

    get(name) {
      return this.layers.find((layer) => layer.name === name);
    }
  }

  // Numbers come to the page as text.
  Lab.bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  Lab.floats = (text) => new Float32Array(Lab.bytes(text).buffer);

  Lab.Net = Net;
});
