"use strict";
// What can be done to a drawing: a stack of one map with grey values from 0 (black) to 1 (white).
Lab.part(function drawing(Lab) {
  const SIDE = 28;
  const PEN = 1.1; // the pen's radius in pixels: strokes as wide as MNIST's
  const BOX = 20; // MNIST's digits are scaled to fit into a box of this side
  const MIDDLE = 14.5; // where MNIST puts the centre of mass, with the first pixel from 0 to 1
  const INK = 0.2; // fainter pixels are the soft edge of a stroke

  const clamped = (x) => Math.min(Math.max(x, 0), 1);

  Lab.blank = () => new Lab.Maps(SIDE, SIDE, 1);

  // Draw a straight stroke, from one point to another, each [column, row] in pixels.  A pixel is as
  // white as the pen covers it; what is whiter already stays so.
  Lab.stroke = (drawing, [fromX, fromY], [toX, toY]) => {
    const [dx, dy] = [toX - fromX, toY - fromY];
    const square = dx * dx + dy * dy;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const [px, py] = [x + 0.5 - fromX, y + 0.5 - fromY]; // the pixel's middle
        const along = square ? clamped((px * dx + py * dy) / square) : 0;
        const distance = Math.hypot(px - along * dx, py - along * dy);
        const i = drawing.index(y, x);
        drawing.values[i] = Math.max(drawing.values[i], clamped(PEN + 0.5 - distance));
      }
    }
  };

  Lab.shifted = (drawing, rows, columns) => {
    const result = drawing.like();
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        result.values[result.index(y, x)] = pixel(drawing, y - rows, x - columns);
      }
    }
    return result;
  };

  // Scale a drawing into MNIST's box and shift its centre of mass into the middle, by whole pixels.
  Lab.centred = (drawing) => {
    const box = inked(drawing);
    if (!box) return drawing;
    const side = Math.max(box.bottom - box.top, box.right - box.left) + 1;
    // A drawing that fits the box already would only be blurred.
    const scaled = Math.abs(side - BOX) <= 1 ? drawing : resized(drawing, box, BOX / side);
    const [row, column] = centreOfMass(scaled);
    return Lab.shifted(scaled, Math.round(MIDDLE - row), Math.round(MIDDLE - column));
  };

  // Add normal noise of a standard deviation, always the same, and stay between 0 and 1.
  Lab.noisy = (drawing, deviation) => {
    const random = Lab.generator(1);
    return drawing.like(drawing.values.map((x) => clamped(x + deviation * Lab.normal(random))));
  };

  function pixel(drawing, y, x) {
    const inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
    return inside ? drawing.values[drawing.index(y, x)] : 0;
  }

  // The rows and columns between which the ink lies; null where there is none.
  function inked(drawing) {
    const box = { top: SIDE, left: SIDE, bottom: -1, right: -1 };
    drawing.values.forEach((value, i) => {
      if (value <= INK) return;
      const [y, x] = [Math.floor(i / SIDE), i % SIDE];
      box.top = Math.min(box.top, y);
      box.left = Math.min(box.left, x);
      box.bottom = Math.max(box.bottom, y);
      box.right = Math.max(box.right, x);
    });
    return box.bottom < 0 ? null : box;
  }

  // The row and column of the centre of mass, on a scale where the first pixel's middle is ½.
  function centreOfMass(drawing) {
    let [mass, row, column] = [0, 0, 0];
    drawing.values.forEach((value, i) => {
      mass += value;
      row += value * (Math.floor(i / SIDE) + 0.5);
      column += value * ((i % SIDE) + 0.5);
    });
    return [row / mass, column / mass];
  }

  // The ink scaled by a factor about its middle, which goes to the middle.  Each pixel is the mean of 4 × 4 samples.
  function resized(drawing, box, factor) {
    const middle = [(box.top + box.bottom + 1) / 2, (box.left + box.right + 1) / 2];
    const result = drawing.like();
    const samples = [0.125, 0.375, 0.625, 0.875];
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        let sum = 0;
        for (const dy of samples) {
          for (const dx of samples) {
            const row = (y + dy - MIDDLE) / factor + middle[0];
            const column = (x + dx - MIDDLE) / factor + middle[1];
            sum += between(drawing, row - 0.5, column - 0.5);
          }
        }
        result.values[result.index(y, x)] = sum / samples.length ** 2;
      }
    }
    return result;
  }

  // The grey at a place between pixels, in proportion to how near they are.
  function between(drawing, row, column) {
    const [y, x] = [Math.floor(row), Math.floor(column)];
    const [down, right] = [row - y, column - x];
    const upper = (1 - right) * pixel(drawing, y, x) + right * pixel(drawing, y, x + 1);
    const lower = (1 - right) * pixel(drawing, y + 1, x) + right * pixel(drawing, y + 1, x + 1);
    return (1 - down) * upper + down * lower;
  }
});
