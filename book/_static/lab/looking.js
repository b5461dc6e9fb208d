"use strict";
// What made one number of a map: what was summed, and which pixels of the image count.
Lab.part(function looking(Lab) {
  // For a convolution or a transposed one: for each map that was read, the numbers and the weights
  // that were multiplied, in rows; and the bias that was added.
  Lab.summed = (layer, y, x, channel) => {
    const { input } = layer;
    const rows = layer.taps(y, layer.rows);
    const columns = layer.taps(x, layer.columns);
    const maps = Array.from({ length: input.channels }, (_, other) =>
      rows.map((row) =>
        columns.map((column) => ({
          value: input.values[input.index(row.at, column.at, other)],
          weight: layer.weight(channel, other, row.tap, column.tap),
        })),
      ),
    );
    return { maps, bias: layer.biases ? layer.bias[channel] : null };
  };

  Lab.sumOf = (rows) => rows.flat().reduce((sum, { value, weight }) => sum + value * weight, 0);

  // The numbers of the block that a pooling took the largest of, in rows.
  Lab.block = ({ input, size }, y, x, channel) =>
    Array.from({ length: size }, (_, row) =>
      Array.from({ length: size }, (_, column) => {
        const place = input.index(y * size + row, x * size + column, channel);
        return { place, value: input.values[place] };
      }),
    );

  // The rows and columns of the image that a number of the net's layer `index` depends on, each as
  // [first, last]; null where it depends on nothing.
  Lab.receptiveField = (net, index, y, x) => field(net, index, [y, y], [x, x]);

  function field(net, index, rows, columns) {
    if (!rows || !columns) return null;
    if (index < 0) return { rows, columns };
    const layer = net.layers[index];
    const { input } = layer;
    const own = [
      layer.reads(rows, layer.rows ?? { length: input.height }),
      layer.reads(columns, layer.columns ?? { length: input.width }),
    ];
    const found = field(net, index - 1, ...own);
    // The places of the maxima come from the encoder directly.
    return layer.pooling ? union(found, field(net, net.layers.indexOf(layer.pooling), ...own)) : found;
  }

  function union(one, other) {
    const span = (name) => [
      Math.min(one[name][0], other[name][0]),
      Math.max(one[name][1], other[name][1]),
    ];
    return { rows: span("rows"), columns: span("columns") };
  }
});
