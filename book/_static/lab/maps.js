"use strict";
Lab.part(function maps(Lab) {
  // A stack of maps.  As in Keras, the channels of a pixel lie side by side, then the next pixel of
  // the row, then the next row: map c at row y and column x is values[(y · width + x) · channels + c].
  class Maps {
    constructor(height, width, channels, values = new Float32Array(height * width * channels)) {
      Object.assign(this, { height, width, channels, values });
    }

    // The same numbers within `before` rows and columns of zeros, and as many after as still needed.
    padded(rows, columns) {
      const large = new Maps(rows.padded, columns.padded, this.channels);
      const length = this.width * this.channels;
      for (let y = 0; y < this.height; y++) {
        const row = this.values.subarray(y * length, (y + 1) * length);
        large.values.set(row, large.index(y + rows.before, columns.before));
      }
      return large;
    }

    // What `padded` was made from: without the margins.
    cropped(rows, columns) {
      const small = new Maps(rows.length, columns.length, this.channels);
      for (let y = 0; y < rows.length; y++) {
        const start = this.index(y + rows.before, columns.before);
        const row = this.values.subarray(start, start + columns.length * this.channels);
        small.values.set(row, small.index(y, 0));
      }
      return small;
    }

    like(values = new Float32Array(this.values.length)) {
      return new Maps(this.height, this.width, this.channels, values);
    }

    index(y, x, channel = 0) {
      return (y * this.width + x) * this.channels + channel;
    }
  }

  // How windows of `size` go over a side of some length, `stride` apart, with SAME padding: how many
  // there are, and how many zeros come before the first pixel.  An odd zero comes after the last.
  Lab.windows = (length, size, stride) => {
    const count = Math.ceil(length / stride);
    const zeros = Math.max((count - 1) * stride + size - length, 0);
    return { length, count, before: Math.floor(zeros / 2), padded: length + zeros };
  };

  Lab.Maps = Maps;
});
