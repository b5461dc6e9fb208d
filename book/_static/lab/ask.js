"use strict";
// The page's last part: a loss in, the picture that it fits out.
{
  const form = document.getElementById("lab-ask");
  const answer = document.getElementById("lab-answer");

  function reply() {
    const { value, kind, data } = form.elements;
    if (value.value.trim() === "") {
      answer.replaceChildren();
      return;
    }
    const loss = Number(value.value);
    const found = Lab.diagnoseLoss(loss, Lab.known[data.value], kind.value);
    const scale = found.scale ? ` (${found.scale})` : "";
    const none = found.verdict === "none of these";
    const verdict = none ? "fits none of the pictures below" : `fits: ${found.verdict}`;
    const sentence = Lab.element("p", {}, Lab.element("strong", {}, `${loss} ${verdict}${scale}.`));
    const shown = found.nearest.filter(([name]) => found.verdict.includes("phases") || !/phases/.test(name));
    const nearest = shown
      .slice(0, 3)
      .map(([name, known]) => Lab.element("li", {}, `${name}: ${Number(known.toPrecision(4))}`));
    const list = nearest.length ? [Lab.element("p", {}, "The nearest losses:")] : [];
    answer.replaceChildren(sentence, ...list, Lab.element("ul", {}, ...nearest));
  }

  form.addEventListener("input", reply);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const name of Object.keys(Lab.known)) {
    form.elements.data.append(Lab.element("option", { value: name }, name));
  }
}
