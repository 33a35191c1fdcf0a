// Presets: choose, read for whom it is, load; keep the form as one of your own; delete one of your own.
"use strict";
Loratory.presets = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let presets = [];
  const newest = L.latest();
  const select = el("select", { class: "lor-input", id: "preset-choice", onchange: () => describe() });
  const about = el("p", { class: "lor-help", role: "status" });
  const remove = L.button("Delete", async () => {
    const preset = chosen();
    if (!(await L.confirm("Delete this preset?", `“${preset.name}” is moved to the bin in the workspace.`, "Delete"))) return;
    await L.attempt(() => L.post("/api/presets/delete", { key: preset.key }));
    await list();
  }, "quiet");
  const overwrite = L.button("Save", () => { const preset = chosen(); trigger("keep", { name: preset.name, description: preset.description }); }, "quiet");
  const load = L.button("Load", () => trigger("choose", { key: select.value }));
  L.put(root, el("div", { class: "lor-card" }, el("label", { class: "lor-label", for: "preset-choice" }, "Preset"),
    el("div", { class: "lor-row" }, select, load, overwrite, L.button("Save as…", () => saveAs(), "quiet"), remove), about));

  const chosen = () => presets.find((preset) => preset.key === select.value);
  const describe = () => {
    const preset = chosen();
    load.disabled = !preset;
    overwrite.hidden = remove.hidden = !preset || preset.builtin;
    about.textContent = preset ? preset.description : "Complete settings for a purpose. Loading one keeps your pictures, names and folders.";
  };
  const list = async (wanted = select.value) => {
    presets = await newest(L.get("/api/presets"));
    const group = (name, members) => members.length > 0 && el("optgroup", { label: name }, members.map((preset) => el("option", { value: preset.key }, `${preset.family} · ${preset.name}`)));
    L.fill(select, el("option", { value: "" }, "Choose a preset…"), group("Built in", presets.filter((preset) => preset.builtin)), group("Yours", presets.filter((preset) => !preset.builtin)));
    select.value = presets.some((preset) => preset.key === wanted) ? wanted : "";
    describe();
  };
  const saveAs = () => L.dialog("Save the form as a preset", (close) => {
    const name = el("input", { class: "lor-input", id: "preset-name", required: true, autofocus: true, maxlength: 60 });
    const words = el("textarea", { class: "lor-input", id: "preset-about", rows: 2, placeholder: "For whom, and for which machine" });
    return el("form", { onsubmit: (event) => { event.preventDefault(); close(); trigger("keep", { name: name.value, description: words.value }); } },
      el("label", { class: "lor-label", for: "preset-name" }, "Name"), name, el("label", { class: "lor-label", for: "preset-about" }, "Description"), words,
      el("div", { class: "lor-row end" }, L.button("Cancel", () => close()), el("button", { type: "submit", class: "lor-button primary" }, "Save preset")));
  });
  watch("value", () => list(props.value?.key));
  list(props.value?.key);
};
