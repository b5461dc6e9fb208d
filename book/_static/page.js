// Paper is white: print in light colours whatever the reader's theme, then go back to it.
addEventListener("beforeprint", () => {
  const { dataset } = document.documentElement;
  const theme = dataset.theme;
  dataset.theme = "light";
  addEventListener("afterprint", () => (dataset.theme = theme), { once: true });
});

// The theme gives code that scrolls a tab stop when the window changes its size, but doesn't see
// code that was folded until now.
document.addEventListener("click", ({ target }) => {
  if (target.closest("summary, .admonition-title")) dispatchEvent(new Event("resize"));
});
