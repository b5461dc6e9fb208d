"use strict";
// What no training can beat on one picture, given the last layer, and the losses that need no net.
Lab.part(function floors(Lab) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  Lab.squaredError = (picture, image) => mean(Array.from(image, (x, i) => (picture[i] - x) ** 2));

  // Call with each block of 2 × 2 pixels, the top left first, and average what comes back.
  const overBlocks = ({ height, width, values }, ofBlock) => {
    let sum = 0;
    for (let y = 0; y < height; y += 2) {
      for (let x = 0; x < width; x += 2) {
        const top = y * width + x;
        sum += ofBlock([values[top], values[top + 1], values[top + width], values[top + width + 1]]);
      }
    }
    return sum / values.length;
  };
  const squares = (block) => block.reduce((sum, x) => sum + x * x, 0);

  Lab.floors = {
    black: (image) => overBlocks(image, squares),
    none: () => 0,
    // Only the top left of a block can be drawn.
    "zero-fill": (image) => overBlocks(image, (block) => squares(block) - block[0] ** 2),
    // One grey for a block: what is left is the variance within it.
    nearest: (image) =>
      overBlocks(image, (block) => squares(block.map((x) => x - mean(block)))),
    // One pixel of a block, the brightest.
    argmax: (image) => overBlocks(image, (block) => squares(block) - Math.max(...block) ** 2),
  };
});
