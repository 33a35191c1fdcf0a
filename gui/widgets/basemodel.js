// What was found about the base model, below its field: facts, a refusal in one sentence, and offers that fill in a value.
"use strict";
Loratory.basemodel = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let shown = "";
  const note = el("div", { class: "lor-detected", role: "status" });
  const draw = () => {
    const found = props.value?.model;
    const block = document.getElementById(about.field);
    if (!block || !found) return setTimeout(draw, 200);
    if (note.parentElement !== block) block.append(note);
    const text = JSON.stringify([found, props.value.followed]);
    if (text === shown) return undefined;
    shown = text;
    return L.fill(note,
      found.facts.length > 0 && el("dl", { class: "lor-found" }, found.facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      props.value.followed && el("p", { class: "lor-note" }, `The family was set to ${props.value.followed}, as the model is.`),
      found.problem && el("p", { class: "lor-problem" }, found.problem),
      found.offers.map((offer) => el("p", { class: "lor-offer" }, `${offer.text} `, L.button(offer.button, () => trigger("choose", { values: offer.values })))));
  };
  watch("value", draw);
  draw();
};
