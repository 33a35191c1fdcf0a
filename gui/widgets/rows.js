// A list of small sections as an editable table: one line an item, one column a setting.
"use strict";
Loratory.rows = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let rows = null;
  const list = el("div", { class: "lor-rows" });
  const add = L.button("Add a folder", async () => {
    const path = await L.browse(props.columns[0].pick || "folder", rows.at(-1)?.[props.columns[0].name] || "", props.label);
    if (path) change(() => rows.push({ ...fresh(), [props.columns[0].name]: path }), true);
  });
  const type = L.button("Type a path", () => {
    change(() => rows.push(fresh()), true);
    list.querySelector(".lor-item:last-child input")?.focus();
  });
  L.put(root, el("div", { class: "lor-label" }, props.label), el("p", { class: "lor-help" }, props.help), list,
    el("div", { class: "lor-row" }, add, type));

  const fresh = () => Object.fromEntries(props.columns.map((column) => [column.name, column.default]));
  const change = (what, redraw) => {
    what();
    if (redraw) draw();
    props.value = rows.map((row) => ({ ...row }));
    trigger("input");
  };
  const cell = (row, column, index) => {
    const label = `${column.label}, row ${index + 1}`;
    const set = (value) => change(() => { row[column.name] = value; }, false);
    if (column.kind === "switch") {
      return el("label", { class: "lor-cell switch", title: column.help },
        el("input", { type: "checkbox", checked: Boolean(row[column.name]), "aria-label": label,
          onchange: (event) => set(event.target.checked) }), el("span", {}, column.label));
    }
    const number = column.kind === "number";
    const input = el("input", { class: "lor-input", type: number ? "number" : "text", value: row[column.name] ?? "", min: number ? 0 : null,
      "aria-label": label, placeholder: number && column.optional ? "auto" : "", spellcheck: "false",
      oninput: (event) => set(number ? (event.target.value === "" ? null : Number(event.target.value)) : event.target.value) });
    const pick = column.pick && L.button("Browse…", async () => {
      const path = await L.browse(column.pick, input.value, label);
      if (path) L.type(input, path);
    }, "", { "aria-label": `Browse for ${label}` });
    return el("label", { class: `lor-cell ${column.kind}${column.pick ? " path" : ""}`, title: column.help },
      el("span", { class: "lor-cell-name" }, column.label), pick ? el("span", { class: "lor-row tight" }, input, pick) : input);
  };
  const draw = () => {
    add.disabled = type.disabled = rows === null;
    L.fill(list, (rows || []).map((row, index) => el("div", { class: "lor-item", role: "group", "aria-label": `Row ${index + 1}` },
      props.columns.map((column) => cell(row, column, index)),
      L.button("Remove", () => change(() => rows.splice(index, 1), true), "quiet", { "aria-label": `Remove row ${index + 1}` }))));
    if (rows && !rows.length) L.fill(list, el("p", { class: "lor-empty" }, "No folder yet."));
  };
  watch("value", () => {
    if (!Array.isArray(props.value) || JSON.stringify(props.value) === JSON.stringify(rows)) return;
    rows = props.value.map((row) => ({ ...fresh(), ...row }));
    draw();
  });
  if (Array.isArray(props.value)) rows = props.value.map((row) => ({ ...fresh(), ...row }));
  draw();
};
