"use strict";
// Random numbers that a seed decides, the same in every browser.
Lab.part(function random(Lab) {
  // Tommy Ettinger's mulberry32: 32 bits of state, numbers from 0 to 1 without 1.
  Lab.generator = (seed) => {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let bits = Math.imul(state ^ (state >>> 15), state | 1);
      bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
      return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
    };
  };

  // A normal number by Box and Muller's formula, which takes two uniform ones.
  Lab.normal = (random) => {
    const length = Math.sqrt(-2 * Math.log(1 - random()));
    return length * Math.cos(2 * Math.PI * random());
  };

  // A normal number that is drawn again while it lies outside two standard deviations.
  Lab.truncatedNormal = (random) => {
    for (;;) {
      const number = Lab.normal(random);
      if (Math.abs(number) <= 2) return number;
    }
  };

  // The numbers from 0 to count − 1 in random order, by Fisher and Yates.
  Lab.shuffled = (count, random) => {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
});
