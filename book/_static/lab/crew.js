"use strict";
// Workers that share the images of a batch, so that the page stays free.
Lab.part(function crew(Lab) {
  // What a worker does with each message: learn the net and the digits, or answer for some of them.
  const hands = {
    start({ description, loss, pixels }) {
      Object.assign(hands, { net: new Lab.Net(description), loss, pixels });
      return {};
    },

    // The gradients of some images, as their part of a batch of `size`.
    gradients({ weights, indices, size }) {
      const { net } = hands;
      net.weights.set(weights);
      net.gradients.fill(0);
      const images = indices.map((index) => Lab.imageAt(hands.pixels, index));
      const loss = Lab.share(net, hands.loss, images, size);
      return { loss, gradients: net.gradients.slice() };
    },

    // The pictures of some images, and the last layer's sums before its activation.
    pictures({ weights, indices }) {
      const { net } = hands;
      net.weights.set(weights);
      return indices.map((index) => {
        const { values } = net.picture(Lab.imageAt(hands.pixels, index));
        return { values, sums: net.weighted().at(-1).sums.values };
      });
    },
  };

  const inWorker = typeof document === "undefined";
  if (inWorker) {
    onmessage = ({ data: { job, id, ...rest } }) => postMessage({ id, answer: hands[job](rest) });
  }

  // One worker, made from the text of the parts: a page from disk can't load a file for it.
  class Hand {
    constructor() {
      const text = ["'use strict'; const Lab = {};", ...Lab.texts].join("\n");
      this.address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      this.worker = new Worker(this.address);
      this.waiting = new Map();
      this.worker.onmessage = ({ data: { id, answer } }) => {
        this.waiting.get(id)(answer);
        this.waiting.delete(id);
      };
    }

    ask(job, message) {
      return new Promise((resolve) => {
        const id = (this.last = (this.last ?? 0) + 1);
        this.waiting.set(id, resolve);
        this.worker.postMessage({ job, id, ...message });
      });
    }

    end() {
      this.worker.terminate();
      URL.revokeObjectURL(this.address);
    }
  }

  // Where the browser allows no worker, the page does each share itself and breathes in between.
  class OwnHand {
    ask(job, message) {
      return new Promise((resolve) => setTimeout(() => resolve(hands[job](message))));
    }

    end() {}
  }
  const SMALL_SHARES = 20;

  Lab.Crew = class {
    // At most four: more gain little on a batch of 60.
    constructor(count = Math.min(navigator.hardwareConcurrency || 1, 4)) {
      try {
        this.hands = Array.from({ length: count }, () => new Hand());
      } catch {
        this.hands = Array.from({ length: SMALL_SHARES }, () => new OwnHand());
      }
    }

    async start(message) {
      await Promise.all(this.hands.map((hand) => hand.ask("start", message)));
    }

    // The loss of a batch and its gradients, summed over the workers' shares.
    async gradients(weights, batch) {
      const answers = await this.shared("gradients", weights, batch, { size: batch.length });
      const gradients = new Float64Array(weights.length);
      let loss = 0;
      for (const answer of answers) {
        loss += answer.loss;
        answer.gradients.forEach((x, i) => (gradients[i] += x));
      }
      return { loss, gradients };
    }

    async pictures(weights, indices) {
      return (await this.shared("pictures", weights, indices)).flat();
    }

    shared(job, weights, indices, more = {}) {
      const each = Math.ceil(indices.length / this.hands.length);
      return Promise.all(
        this.hands.map((hand, i) => {
          const own = indices.slice(i * each, (i + 1) * each);
          return hand.ask(job, { weights, indices: own, ...more });
        }),
      );
    }

    end() {
      this.hands.forEach((hand) => hand.end());
    }
  };

  // A run: a net, Adam, and the batches, as `settings` have them.
  Lab.Run = class {
    constructor(settings, crew, pixels, count) {
      const { seed, loss, rate, warmup } = settings;
      this.description = Lab.describe(trainable(settings));
      this.net = new Lab.Net(this.description).fill(Lab.firstWeights(this.description, settings));
      this.adam = new Lab.Adam(this.net.count, { rate, warmup });
      this.batches = new Lab.Batches(count, BATCH, seed);
      this.crew = crew;
      this.losses = [];
      this.ready = crew.start({ description: this.description, loss, pixels });
    }

    // One step.  Its batch is kept, to be compared with that batch's own floor.
    async step() {
      await this.ready;
      this.batch = this.batches.next();
      const { loss, gradients } = await this.crew.gradients(this.net.weights, this.batch);
      this.adam.step(this.net.weights, gradients);
      this.losses.push(loss);
      return loss;
    }

    // The pictures of some digits, as maps, and the sums that made them.
    async pictures(indices) {
      await this.ready;
      const answers = await this.crew.pictures(this.net.weights, indices);
      return answers.map(({ values, sums }) => ({ maps: new Lab.Maps(28, 28, 1, values), sums }));
    }
  };

  const BATCH = 60; // the article's

  // The cross-entropy of a sigmoid is computed from what goes into the sigmoid, as Keras does it
  // where it can: where no unpooling follows.
  function trainable(settings) {
    const { net, output, loss } = settings;
    const last = net === "strided" || net.startsWith("mirrored");
    return loss === "bce" && output === "sigmoid" && last
      ? { ...settings, output: "logits" }
      : settings;
  }
});
