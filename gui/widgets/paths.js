// A list of folders: one line each, nearly always a single one. Its value is JSON text.
"use strict";
Loratory.paths = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let rows = null;  // as typed, empty ones too
  const list = el("div", { class: "lor-rows" });
  const more = L.button("Add another folder", () => { rows.push(""); draw(); list.querySelector(".lor-row:last-child input").focus(); }, "quiet");
  L.put(root, el("div", { class: "lor-label" }, about.label), el("p", { class: "lor-help" }, about.help), list, el("div", { class: "lor-row" }, more));

  const kept = () => rows.map((path) => path.trim()).filter(Boolean);
  const tell = () => { props.value = JSON.stringify(kept()); trigger("input"); };
  const line = (path, index) => {
    const label = rows.length > 1 ? `${about.label}, row ${index + 1}` : about.label;
    const input = el("input", { class: "lor-input", type: "text", spellcheck: "false", value: path, "aria-label": label, placeholder: "/home/me/pictures/my subject",
      oninput: () => { rows[index] = input.value; more.hidden = !kept().length; tell(); } });
    return el("div", { class: "lor-row" }, input,
      L.button("Browse…", async () => { const found = await L.browse("folder", input.value, about.label); if (found) L.type(input, found); }, "", { "aria-label": `Browse for ${label}` }),
      rows.length > 1 && L.button("Remove", () => { rows.splice(index, 1); draw(); tell(); }, "quiet", { "aria-label": `Remove row ${index + 1}` }));
  };
  const draw = () => {
    more.disabled = rows === null;
    more.hidden = !rows?.some((path) => path.trim());
    if (rows && !rows.length) rows.push("");
    L.fill(list, (rows || []).map(line));
  };
  const take = () => {
    if (!props.value || (rows && props.value === JSON.stringify(kept()))) return;
    rows = JSON.parse(props.value);
    draw();
  };
  watch("value", take);
  draw();
  take();
};
