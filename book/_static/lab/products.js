"use strict";
// The three sums of products that convolutions are made of.
//
// All three go over the same windows of a large stack of maps.  A small stack has one pixel for each
// window, and as many channels as there are kernels.
//
//   gather     each small number: the sum of the products of a kernel and the window under it
//   stamp      each small number times its kernel is added to its window
//   correlate  each kernel: the sum of the windows, each times its small number
//
// A convolution gathers.  The gradient of what it read is stamped, and the gradient of its kernels
// correlated.  A transposed convolution stamps, and the gradient of what it read is gathered: that
// is why it is called transposed.
//
// The kernels lie one after the other, each row by row, each row pixel by pixel: as a window's row
// lies in the large stack.  So one row of a kernel meets one row of a window as two plain lists.
Lab.part(function products(Lab) {
  Lab.gather = (large, kernels, small, size, stride) => {
    const row = size * large.channels; // of a kernel or a window
    const line = large.width * large.channels; // from a row of the large stack to the next
    const kernel = size * row;
    const from = large.values;
    const to = small.values;
    const filters = small.channels;
    let place = 0;
    for (let y = 0; y < small.height; y++) {
      for (let x = 0; x < small.width; x++) {
        const corner = y * stride * line + x * stride * large.channels;
        let filter = 0;
        // Four kernels at a time: each number of the window is then read once for all four.
        for (; filter + 4 <= filters; filter += 4) {
          let [a, b, c, d] = [0, 0, 0, 0];
          for (let i = 0; i < size; i++) {
            let k = filter * kernel + i * row;
            const start = corner + i * line;
            for (let p = start; p < start + row; p++, k++) {
              const value = from[p];
              a += value * kernels[k];
              b += value * kernels[k + kernel];
              c += value * kernels[k + 2 * kernel];
              d += value * kernels[k + 3 * kernel];
            }
          }
          to[place++] += a;
          to[place++] += b;
          to[place++] += c;
          to[place++] += d;
        }
        for (; filter < filters; filter++) {
          let sum = 0;
          for (let i = 0; i < size; i++) {
            let k = filter * kernel + i * row;
            const start = corner + i * line;
            for (let p = start; p < start + row; p++, k++) sum += from[p] * kernels[k];
          }
          to[place++] += sum;
        }
      }
    }
  };

  Lab.stamp = (small, kernels, large, size, stride) => {
    const row = size * large.channels;
    const line = large.width * large.channels;
    const to = large.values;
    forEachNumber(small, large, size, stride, (value, corner, kernel) => {
      let k = kernel;
      for (let start = corner; start < corner + size * line; start += line) {
        for (let p = start; p < start + row; p++, k++) to[p] += value * kernels[k];
      }
    });
  };

  Lab.correlate = (large, small, kernels, size, stride) => {
    const row = size * large.channels;
    const line = large.width * large.channels;
    const from = large.values;
    forEachNumber(small, large, size, stride, (value, corner, kernel) => {
      let k = kernel;
      for (let start = corner; start < corner + size * line; start += line) {
        for (let p = start; p < start + row; p++, k++) kernels[k] += value * from[p];
      }
    });
  };

  // Zeros are left out: after relu, pooling and unpooling there are many.
  function forEachNumber(small, large, size, stride, act) {
    const kernel = size * size * large.channels;
    let place = 0;
    for (let y = 0; y < small.height; y++) {
      for (let x = 0; x < small.width; x++) {
        const corner = large.index(y * stride, x * stride);
        for (let filter = 0; filter < small.channels; filter++, place++) {
          const value = small.values[place];
          if (value !== 0) act(value, corner, filter * kernel);
        }
      }
    }
  }
});
