// A list that is chosen from tiles, each with its help; in the order in which they were chosen. Its value is JSON text.
"use strict";
Loratory.tiles = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let chosen = [], ready = false;
  const places = new Map();
  const name = `tiles-${L.tilesDrawn = (L.tilesDrawn || 0) + 1}`;
  const change = (value, on) => {
    chosen = on ? [...chosen.filter((one) => one !== value), value] : chosen.filter((one) => one !== value);
    draw();
    props.value = JSON.stringify(chosen);
    trigger("input");
  };
  const tile = (choice, index) => {
    const box = el("input", { type: "checkbox", disabled: true, "aria-describedby": `${name}-${index}`, onchange: (event) => change(choice.value, event.target.checked) });
    const place = el("span", { class: "lor-chip" });
    const node = el("label", { class: "lor-tile" }, el("span", { class: "lor-row tight" }, box, el("b", {}, choice.label), place),
      el("span", { class: "lor-note", id: `${name}-${index}` }, choice.help));
    places.set(choice.value, { node, box, place, hint: choice.hint });
    return node;
  };
  L.put(root, el("div", { class: "lor-label" }, about.label), el("p", { class: "lor-help" }, about.help),
    el("div", { class: "lor-tiles", role: "group", "aria-label": about.label }, about.choices.map(tile)));
  const draw = () => {
    for (const [value, { node, box, place, hint }] of places) {
      const order = chosen.indexOf(value);
      box.checked = order >= 0;
      box.disabled = !ready;
      node.classList.toggle("chosen", order >= 0);
      place.textContent = order >= 0 && chosen.length > 1 ? `${order + 1}. ${hint}` : hint;
    }
  };
  const take = () => {
    if (!props.value) return;
    ready = true;
    chosen = JSON.parse(props.value).filter((value) => places.has(value));
    draw();
  };
  watch("value", take);
  draw();
  take();
};
