"use strict";
// The layers.  `forward` takes a stack of maps and gives one; `backward` takes the gradient of the
// loss with respect to what `forward` gave, adds to the gradients of the weights, and gives the
// gradient with respect to what `forward` took.  A layer remembers its last image only.
//
// `reads` says which rows (or columns) of its input the rows from one to another depend on; null
// where they depend on none.  So a receptive field can be followed back to the image.
Lab.part(function layers(Lab) {
  const { Maps, windows } = Lab;

  // A span without what lies outside 0 … length − 1; null where nothing is left.
  const within = ([first, last], length) => {
    const span = [Math.max(first, 0), Math.min(last, length - 1)];
    return span[0] <= span[1] ? span : null;
  };

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

    // The rows (or columns) of the padded input that row `place` sums, and those of the kernel that
    // they meet.
    taps(place) {
      return Array.from({ length: this.size }, (_, tap) => ({ at: place * this.stride + tap, tap }));
    }

    // The weight between a map of the output and one of the input.
    weight(channel, other, row, column) {
      return this.kernels[((channel * this.size + row) * this.size + column) * this.depth + other];
    }

    reads([first, last], { before, length }) {
      const start = first * this.stride - before;
      return within([start, last * this.stride - before + this.size - 1], length);
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

    // The rows (or columns) of the input whose stamps reach row `place`, and those of the kernel
    // that they bring there.
    taps(place, { before, count }) {
      const all = Array.from({ length: count }, (_, at) => at);
      return all
        .map((at) => ({ at, tap: place + before - at * this.stride }))
        .filter(({ tap }) => tap >= 0 && tap < this.size);
    }

    weight(channel, other, row, column) {
      return this.kernels[((other * this.size + row) * this.size + column) * this.depth + channel];
    }

    reads([first, last], { before, count }) {
      const start = Math.ceil((first + before - this.size + 1) / this.stride);
      return within([start, Math.floor((last + before) / this.stride)], count);
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

  // The same numbers in another order of rows, columns and channels.
  class Reshaping extends Unweighted {
    constructor({ height, width, channels, ...rest }) {
      super(rest);
      this.shape = [height, width, channels];
    }

    forward(input) {
      this.input = input;
      return (this.output = new Maps(...this.shape, input.values));
    }

    backward(gradient) {
      return this.input.like(gradient.values);
    }

    reads(span, { length }) {
      return [0, length - 1];
    }
  }

  class MaxPooling extends Unweighted {
    reads([first, last], { length }) {
      return within([first * this.size, last * this.size + this.size - 1], length);
    }

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
    reads(span, { length }) {
      return within(span.map((place) => Math.floor(place / this.size)), length);
    }

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
    reads([first, last], { length }) {
      return within([Math.ceil(first / this.size), Math.floor(last / this.size)], length);
    }

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
    reads(...rest) {
      return Unpooling.prototype.reads.apply(this, rest);
    }

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
    reshape: Reshaping,
    "zero-fill": ZeroFillUnpooling,
    nearest: NearestUnpooling,
    argmax: MaxUnpooling,
  };
});
