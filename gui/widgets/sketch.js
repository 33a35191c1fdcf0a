// A curve among the fields that it follows from: drawn anew while one types, with the same in a sentence below it.
"use strict";
Loratory.sketch = (root, { about, props, watch }) => {
  const L = Loratory, { el } = L;
  const chart = L.chart(about.title, { whole: true });
  const said = el("p", { class: "lor-help" });
  const wrong = el("p", { class: "lor-help", hidden: true }, "Drawn as soon as these settings are right.");
  L.put(root, el("div", { class: "lor-sketch" }, chart.node, said, wrong));
  let before = "";
  const draw = () => {
    const found = props.value?.sketches?.[about.sketch];
    if (!props.value || JSON.stringify(found) === before) return;
    before = JSON.stringify(found);
    chart.node.hidden = said.hidden = !found;
    wrong.hidden = Boolean(found);
    if (!found) return;
    said.textContent = found.said;
    chart.show(found.curves, found.end, found.unit);
  };
  watch("value", draw);
  draw();
};
