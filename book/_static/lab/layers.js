"use strict";
// The layers.  `forward` takes a stack of maps and gives one; `backward` takes the gradient of the
// loss with respect to what `forward` gave, adds to the gradients of the weights, and gives the
// gradient with respect to what `forward` took.  A layer remembers its last image only.
Lab.part(function layers(Lab) {
  const { Maps, windows } = Lab;

  // What a convolution and a transposed one share: kernels, bias, activation.
  class Weighted {
    // `size` of the kernel, `depth` (channels of the large side), `filters` (of the small side).
    constructor({ name, size, depth, filters, stride = 1, bias = true, activation = "linear" }) {
      const channels = this.maps({ depth, filters });
      Object.assign(this, { name, size, depth, filters, stride, channels, activation });
      this.biases = bias ? channels : 0;
      this.count = size * size * depth * filters + this.biases;
    }

    // Use these numbers: the kernels, then the biases.  Gradients are added to `gradients`.
    use(weights, gradients) {
      const end = this.count - this.biases;
      this.kernels = weights.subarray(0, end);
      this.bias = weights.subarray(end);
      this.kernelGradients = gradients?.subarray(0, end);
      this.biasGradients = gradients?.subarray(end);
    }

    // Add the bias to the sums and apply the activation.  Both are kept to be looked at.
    finish(sums) {
      const { of } = Lab.activations[this.activation];
      const output = sums.like();
      for (let i = 0; i < sums.values.length; i++) {
        if (this.biases) sums.values[i] += this.bias[i % this.channels];
        output.values[i] = of(sums.values[i]);
      }
      this.sums = sums;
      this.output = output;
      return output;
    }

    // Undo `finish`: the gradient with respect to the sums.
    unfinish(gradient) {
      const { slope } = Lab.activations[this.activation];
      const result = gradient.like();
      for (let i = 0; i < result.values.length; i++) {
        result.values[i] = gradient.values[i] * slope(this.output.values[i]);
        if (this.biases) this.biasGradients[i % this.channels] += result.values[i];
      }
      return result;
    }
  }

  class Convolution extends Weighted {
    maps({ filters }) {
      return filters;
    }

    forward(input) {
      this.rows = windows(input.height, this.size, this.stride);
      this.columns = windows(input.width, this.size, this.stride);
      this.input = input.padded(this.rows, this.columns);
      const sums = new Maps(this.rows.count, this.columns.count, this.filters);
      Lab.gather(this.input, this.kernels, sums, this.size, this.stride);
      return this.finish(sums);
    }

    backward(gradient, wanted = true) {
      const inner = this.unfinish(gradient);
      Lab.correlate(this.input, inner, this.kernelGradients, this.size, this.stride);
      if (!wanted) return null; // nobody asks for the gradient with respect to the image
      const large = this.input.like();
      Lab.stamp(inner, this.kernels, large, this.size, this.stride);
      return large.cropped(this.rows, this.columns);
    }
  }

  class TransposedConvolution extends Weighted {
    maps({ depth }) {
      return depth;
    }

    forward(input) {
      this.input = input;
      this.rows = windows(input.height * this.stride, this.size, this.stride);
      this.columns = windows(input.width * this.stride, this.size, this.stride);
      const large = new Maps(this.rows.padded, this.columns.padded, this.depth);
      Lab.stamp(input, this.kernels, large, this.size, this.stride);
      return this.finish(large.cropped(this.rows, this.columns));
    }

    backward(gradient) {
      const large = this.unfinish(gradient).padded(this.rows, this.columns);
      Lab.correlate(large, this.input, this.kernelGradients, this.size, this.stride);
      const result = this.input.like();
      Lab.gather(large, this.kernels, result, this.size, this.stride);
      return result;
    }
  }

  // Layers without weights say where each number of the small stack belongs in the large one.
  class Unweighted {
    constructor({ name, size = 2 }) {
      Object.assign(this, { name, size, count: 0 });
    }

    use() {}
  }

  class MaxPooling extends Unweighted {
    forward(input) {
      const { height, width, channels } = (this.input = input);
      const output = new Maps(Math.floor(height / this.size), Math.floor(width / this.size), channels);
      this.places = new Int32Array(output.values.length);
      let i = 0;
      for (let y = 0; y < output.height; y++) {
        for (let x = 0; x < output.width; x++) {
          for (let channel = 0; channel < channels; channel++, i++) {
            this.places[i] = this.largest(y * this.size, x * this.size, channel);
            output.values[i] = input.values[this.places[i]];
          }
        }
      }
      return (this.output = output);
    }

    // The place of the largest number of a block, the first of equals.
    largest(top, left, channel) {
      const { values } = this.input;
      let best = this.input.index(top, left, channel);
      for (let y = top; y < top + this.size; y++) {
        for (let x = left; x < left + this.size; x++) {
          const place = this.input.index(y, x, channel);
          if (values[place] > values[best]) best = place;
        }
      }
      return best;
    }

    backward(gradient) {
      const result = this.input.like();
      gradient.values.forEach((value, i) => (result.values[this.places[i]] += value));
      return result;
    }
  }

  class Unpooling extends Unweighted {
    forward(input) {
      this.input = input;
      const { height, width, channels } = input;
      const output = new Maps(height * this.size, width * this.size, channels);
      this.eachPlace((i, place) => (output.values[place] = input.values[i]));
      return (this.output = output);
    }

    backward(gradient) {
      const result = this.input.like();
      this.eachPlace((i, place) => (result.values[i] += gradient.values[place]));
      return result;
    }
  }

  // Each number to the top left of its block; the rest stays 0.
  class ZeroFillUnpooling extends Unpooling {
    eachPlace(act) {
      const { height, width, channels } = this.input;
      const line = width * this.size * channels;
      let i = 0;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const corner = y * this.size * line + x * this.size * channels;
          for (let channel = 0; channel < channels; channel++) this.fill(act, i++, corner + channel, line);
        }
      }
    }

    fill(act, i, corner) {
      act(i, corner);
    }
  }

  // Each number to every pixel of its block.
  class NearestUnpooling extends ZeroFillUnpooling {
    fill(act, i, corner, line) {
      for (let y = 0; y < this.size; y++) {
        for (let x = 0; x < this.size; x++) act(i, corner + y * line + x * this.input.channels);
      }
    }
  }

  // Each number to where the pooling found the largest of the block.
  class MaxUnpooling extends Unpooling {
    constructor({ pooling, ...rest }) {
      super(rest);
      this.pooling = pooling;
    }

    eachPlace(act) {
      const { places } = this.pooling;
      for (let i = 0; i < places.length; i++) act(i, places[i]);
    }
  }

  Lab.layers = {
    convolution: Convolution,
    "transposed convolution": TransposedConvolution,
    "max pooling": MaxPooling,
    "zero-fill": ZeroFillUnpooling,
    nearest: NearestUnpooling,
    argmax: MaxUnpooling,
  };
});
