"use strict";
// Other places for the maxima than the encoder found: what an argmax net draws then tells what its
// places know.  Each is a function from a pooling layer to places, for `net.elsewhere`.
Lab.part(function places(Lab) {
  // Where the numbers of a pooling's output would go, from what `at` says for each block.
  const inBlocks = ({ input, output, size }, at) => {
    const places = new Int32Array(output.values.length);
    let i = 0;
    for (let y = 0; y < output.height; y++) {
      for (let x = 0; x < output.width; x++) {
        for (let channel = 0; channel < output.channels; channel++) {
          const [row, column] = at(size);
          places[i++] = input.index(y * size + row, x * size + column, channel);
        }
      }
    }
    return places;
  };

  Lab.places = {
    corner: () => (pooling) => inBlocks(pooling, () => [0, 0]),

    // Anywhere in the block, the same at every call, so that nothing flickers.
    shuffled: () => (pooling) => {
      const random = Lab.generator(pooling.output.height);
      const any = (size) => Math.floor(size * random());
      return inBlocks(pooling, (size) => [any(size), any(size)]);
    },

    // Where the net finds the maxima of another image.
    of: (net, image) => {
      net.elsewhere = null;
      net.forward(image);
      const found = new Map(net.layers.filter((layer) => layer.places).map((l) => [l, l.places]));
      return (pooling) => found.get(pooling);
    },
  };
});
