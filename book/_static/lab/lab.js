"use strict";
// The laboratory's parts find each other in this one object.
//
// Each part is a function that adds its names to `Lab`.  Its text is kept, because a worker needs
// the same functions, and a page opened from disk can't load a file for it.
const Lab = {
  texts: [],
  nets: [], // what `make lab` exported
  digits: {},

  part(add) {
    add(Lab);
    Lab.texts.push(`(${add})(Lab);`);
  },
};
