// A list of small sections as an editable table: one line an item, one column a setting. Its value is JSON text.
"use strict";
Loratory.rows = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let rows = null;
  const list = el("div", { class: "lor-rows" });
  const [first] = about.columns, what = first.label.replace(/^[A-Z](?=[a-z]*(?: |$))/, (letter) => letter.toLowerCase());
  const add = first.pick && L.button(`Add a ${what}`, async () => {
    const path = await L.browse(first.pick, rows.at(-1)?.[first.name] || "", about.label);
    if (path) change(() => rows.push({ ...fresh(), [first.name]: path }), true);
  });
  const type = L.button(first.pick ? "Type a path" : `Add a ${what}`, () => {
    change(() => rows.push(fresh()), true);
    list.querySelector(".lor-item:last-child input")?.focus();
  });
  // What the other rooms have open can be taken with one click.
  const open = first.pick === "folder" && L.button("", () => change(() => rows.push({ ...fresh(), [first.name]: open.title }), true), "", { hidden: true });
  if (open) L.onOpened((path) => { open.title = path; offer(); });
  const offer = () => {
    if (!open) return;
    open.textContent = `Add ${open.title.split(/[\\/]/).filter(Boolean).at(-1)} (open in Dataset)`;
    open.hidden = !open.title || rows === null || rows.some((row) => row[first.name] === open.title);
  };
  L.put(root, el("div", { class: "lor-label" }, about.label), el("p", { class: "lor-help" }, about.help), list,
    el("div", { class: "lor-row" }, add, open, type), el("datalist", { id: about.offers }));

  const fresh = () => Object.fromEntries(about.columns.map((column) => [column.name, column.default]));
  const change = (what, redraw) => {
    what();
    if (redraw) draw();
    props.value = JSON.stringify(rows);
    trigger("input");
  };
  const cell = (row, column, index) => {
    const label = `${column.label}, row ${index + 1}`;
    const set = (value) => change(() => { row[column.name] = value; }, false);
    if (column.kind === "switch") {
      return el("label", { class: "lor-part switch", title: column.help },
        el("input", { type: "checkbox", checked: Boolean(row[column.name]), "aria-label": label,
          onchange: (event) => set(event.target.checked) }), el("span", {}, column.label));
    }
    const number = column.kind === "number";
    const input = el("input", { class: "lor-input", type: number ? "number" : "text", value: row[column.name] ?? "", min: number ? 0 : null,
      "aria-label": label, placeholder: number && column.optional ? "auto" : "", spellcheck: "false",
      oninput: (event) => set(number ? (event.target.value === "" ? null : Number(event.target.value)) : event.target.value) });
    if (column === first && !first.pick) input.setAttribute("list", about.offers);
    const pick = column.pick && L.button("Browse…", async () => {
      const path = await L.browse(column.pick, input.value, label);
      if (path) L.type(input, path);
    }, "", { "aria-label": `Browse for ${label}` });
    return el("label", { class: `lor-part ${column.kind}${column.pick ? " path" : ""}`, title: column.help },
      el("span", { class: "lor-part-name" }, column.label), pick ? el("span", { class: "lor-row tight" }, input, pick) : input);
  };
  const draw = () => {
    for (const button of [add, type].filter(Boolean)) button.disabled = rows === null;
    offer();
    L.fill(list, (rows || []).map((row, index) => el("div", { class: "lor-item", role: "group", "aria-label": `Row ${index + 1}` },
      about.columns.map((column) => cell(row, column, index)),
      L.button("Remove", () => change(() => rows.splice(index, 1), true), "quiet", { "aria-label": `Remove row ${index + 1}` }))));
    if (rows && !rows.length) L.fill(list, el("p", { class: "lor-empty" }, `No ${what} yet.`));
  };
  const take = () => {
    if (!props.value || props.value === JSON.stringify(rows)) return;
    rows = JSON.parse(props.value).map((row) => ({ ...fresh(), ...row }));
    draw();
  };
  watch("value", take);
  draw();
  take();
};
