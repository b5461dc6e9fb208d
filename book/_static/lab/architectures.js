"use strict";
// The book's autoencoders, described as `Lab.Net` wants them, and their first weights.
Lab.part(function architectures(Lab) {
  // What follows the code: each unpooling and transposed convolution, in order.
  const UNPOOLED = {
    "zero-fill": { unpooling: "zero-fill" },
    nearest: { unpooling: "nearest" },
    "mirrored-zero-fill": { unpooling: "zero-fill", mirrored: true },
    "mirrored-nearest": { unpooling: "nearest", mirrored: true },
    "mirrored-argmax": { unpooling: "argmax", mirrored: true },
  };
  Lab.architectures = ["strided", ...Object.keys(UNPOOLED)];

  // `outputBias` is null where the last layer has no bias of its own.
  Lab.describe = ({ net, hidden, output, decoderBias = false, outputBias = null }) => {
    const last = output === "logits" ? "logits" : "reconstruction";
    const kernel = { kind: "convolution", size: 5, stride: 1, bias: true, activation: "relu" };
    const transposed = { ...kernel, kind: "transposed convolution", bias: decoderBias };
    const inner = { ...transposed, depth: 16, filters: 32, activation: hidden };
    const outer = {
      ...transposed,
      depth: 1,
      filters: 16,
      bias: decoderBias || outputBias !== null,
      activation: output === "logits" ? "linear" : output,
    };
    const logits = output === "logits";
    if (net === "strided") {
      const layers = [
        { ...kernel, name: "convolution_1", stride: 2, depth: 1, filters: 16 },
        { ...kernel, name: "code", stride: 2, depth: 16, filters: 32 },
        { ...inner, name: "transposed_convolution_1", stride: 2 },
        { ...outer, name: last, stride: 2 },
      ];
      return { layers, logits };
    }
    const { unpooling, mirrored } = UNPOOLED[net];
    const unpool = (name, pooling) => {
      const places = unpooling === "argmax" ? { pooling } : {};
      return { kind: unpooling, name, size: 2, ...places };
    };
    const decoder = mirrored
      ? [
          unpool("unpooling_1", "code"),
          { ...inner, name: "transposed_convolution_1" },
          unpool("unpooling_2", "pooling_1"),
          { ...outer, name: last },
        ]
      : [
          { ...inner, name: "transposed_convolution_1" },
          unpool("unpooling_1"),
          { ...outer, name: "transposed_convolution_2" },
          unpool(last),
        ];
    const layers = [
      { ...kernel, name: "convolution_1", depth: 1, filters: 16 },
      { kind: "max pooling", name: "pooling_1", size: 2 },
      { ...kernel, name: "convolution_2", depth: 16, filters: 32 },
      { kind: "max pooling", name: "code", size: 2 },
      ...decoder,
    ];
    return { layers, logits };
  };

  // The first weights that a seed decides, in Keras' order: truncated normal kernels of a standard
  // deviation, biases of 0.1, and for the last layer the bias that was asked for.
  Lab.firstWeights = (description, { seed, width, outputBias = null }) => {
    const net = new Lab.Net(description);
    const random = Lab.generator(seed);
    const weights = new Float32Array(net.count);
    const last = net.weighted().at(-1);
    let start = 0;
    for (const layer of net.weighted()) {
      const kernels = weights.subarray(start, start + layer.count - layer.biases);
      kernels.forEach((_, i) => (kernels[i] = width * Lab.truncatedNormal(random)));
      const bias = layer === last && outputBias !== null ? outputBias : 0.1;
      weights.subarray(start + kernels.length, start + layer.count).fill(bias);
      start += layer.count;
    }
    return weights;
  };

  // The lowest loss that a net's last layer allows is one of `Lab.floors`.
  Lab.floorOf = ({ layers }) => {
    const { kind } = layers.at(-1);
    return kind in Lab.floors ? kind : "none";
  };
});
