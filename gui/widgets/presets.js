// Presets: choose, read for whom it is, load; keep the form as one of your own; delete one of your own.
"use strict";
Loratory.presets = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  let presets = [];
  const newest = L.latest();
  const select = el("select", { class: "lor-input", id: "preset-choice", onchange: () => describe() });
  const about = el("p", { class: "lor-help", role: "status" });
  const filter = (id, name) => el("select", { class: "lor-input", id, "aria-label": name, onchange: () => draw() });
  const model = filter("preset-model", "Presets for which model"), card = filter("preset-card", "Presets for which card");
  const remove = L.button("Delete", async () => {
    const preset = chosen();
    if (!(await L.confirm("Delete this preset?", `“${preset.name}” is moved to the bin in the workspace.`, "Delete"))) return;
    await L.attempt(() => L.post("/api/presets/delete", { key: preset.key }));
    await list();
  }, "quiet");
  const overwrite = L.button("Save", () => { const preset = chosen(); trigger("keep", { name: preset.name, description: preset.description }); }, "quiet");
  const load = L.button("Load", () => trigger("choose", { key: select.value }));
  L.put(root, el("div", { class: "lor-card" }, el("label", { class: "lor-label", for: "preset-choice" }, "Preset"),
    el("div", { class: "lor-row lor-preset-filters" }, model, card),
    el("div", { class: "lor-row" }, select, load, overwrite, L.button("Save as…", () => saveAs(), "quiet"), remove), about));

  const chosen = () => presets.find((preset) => preset.key === select.value);
  const describe = () => {
    const preset = chosen();
    load.disabled = !preset;
    overwrite.hidden = remove.hidden = !preset || preset.builtin;
    about.textContent = preset ? preset.description : "Complete settings for a purpose. Loading one keeps your pictures, names and folders.";
  };
  const PURPOSES = ["Person or character", "Style", "Object", "Other"];
  const distinct = (values) => [...new Set(values)];
  const choices = (node, all, values, word) => {
    const before = node.value;
    L.fill(node, el("option", { value: "" }, all), values.map((value) => el("option", { value }, word(value))));
    node.value = values.map(String).includes(before) ? before : "";
  };
  const list = async (wanted = select.value) => {
    presets = await newest(L.get("/api/presets"));
    choices(model, "Any model", distinct(presets.map((preset) => preset.label)), (label) => label);
    choices(card, "Any card", distinct(presets.map((preset) => preset.memory_gb).filter(Boolean)).sort((a, b) => a - b), (gb) => `${gb} GB or less`);
    draw(wanted);
  };
  // By purpose, then by card; one's own at the end. A card takes what is for smaller ones too.
  const draw = (wanted = select.value) => {
    const fits = (preset) => (!model.value || preset.label === model.value) && (!card.value || (preset.memory_gb || 0) <= Number(card.value));
    const bySize = (one, other) => (one.memory_gb || 0) - (other.memory_gb || 0);
    const words = (preset) => [preset.label, preset.memory_gb && `${preset.memory_gb} GB`, preset.name].filter(Boolean).join(" · ");
    const group = (name, members) => members.length > 0 && el("optgroup", { label: name }, members.sort(bySize).map((preset) => el("option", { value: preset.key }, words(preset))));
    const shown = presets.filter(fits);
    L.fill(select, el("option", { value: "" }, `Choose a preset… (${shown.length})`), PURPOSES.map((purpose) => group(purpose, shown.filter((preset) => preset.builtin && preset.purpose === purpose))), group("Yours", shown.filter((preset) => !preset.builtin)));
    select.value = shown.some((preset) => preset.key === wanted) ? wanted : "";
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
