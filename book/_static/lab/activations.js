"use strict";
// What a layer does to each number at its end, and the slope there, as a function of the result.
Lab.part(function activations(Lab) {
  const LEAK = 0.2; // Keras'

  Lab.activations = {
    linear: { of: (x) => x, slope: () => 1 },
    relu: { of: (x) => (x > 0 ? x : 0), slope: (y) => (y > 0 ? 1 : 0) },
    leaky_relu: { of: (x) => (x > 0 ? x : LEAK * x), slope: (y) => (y > 0 ? 1 : LEAK) },
    sigmoid: { of: (x) => 1 / (1 + Math.exp(-x)), slope: (y) => y * (1 - y) },
  };
});
