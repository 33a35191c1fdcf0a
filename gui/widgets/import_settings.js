// Import settings of kohya_ss, sd-scripts or a LoRA file: the report first, then the form; and the way back.
"use strict";
Loratory.import_settings = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const OPEN = ["changed", "left", "unknown"];  // what a person should read

  const line = ({ name, given, settings, value, note }) => el("tr", {},
    el("td", { class: "lor-path" }, name, given && el("span", { class: "lor-note" }, ` = ${given}`)),
    el("td", {}, settings.length > 0 && el("span", {}, `${settings.map((path) => L.forms?.train?.label(path) || path).join(", ")} = `, el("b", {}, value)),
      note && el("span", { class: "lor-note block" }, note)));
  const group = ({ kind, heading, lines }) => el("details", { class: "lor-details", open: OPEN.includes(kind) },
    el("summary", {}, `${heading} (${lines.length})`), el("div", { class: "lor-scroll" }, el("table", { class: "lor-table lor-import" }, el("tbody", {}, lines.map(line)))));

  // Of a LoRA only the header is sent: its length is in its first eight bytes.
  const head = async (file) => {
    if (!/\.safetensors$/i.test(file.name)) return file;
    const start = new DataView(await file.slice(0, 8).arrayBuffer());
    const length = start.byteLength === 8 ? Number(start.getBigUint64(0, true)) : 0;
    return file.slice(0, 8 + Math.min(length, file.size));
  };
  const send = async (file) => {
    const body = await head(file);
    if (body.size > 32 * 2 ** 20) throw new Error("This is too large for a settings file.");
    const url = `/api/import-settings/file?name=${encodeURIComponent(file.name)}`;
    const reply = await fetch(L.at ? L.at(url) : url, { method: "POST", headers: { "content-type": "application/octet-stream" }, body });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.detail);
    return answer;
  };

  const open = () => L.dialog("Import settings", (close, dialog) => {
    dialog.classList.add("lor-wide");
    const path = el("input", { class: "lor-input", id: "import-path", spellcheck: "false", autofocus: true, onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); look(); } } });
    const file = el("input", { type: "file", id: "import-file", accept: ".json,.toml,.safetensors", onchange: () => file.files[0] && show(() => send(file.files[0])) });
    const place = el("div", { role: "status" });
    const fill = L.button("Fill the form", () => { trigger("choose", { id: fill.dataset.id }); close(); }, "primary", { disabled: true });
    const newest = L.latest();
    const show = async (asked) => {
      fill.disabled = true;
      L.fill(place, el("p", { class: "lor-note" }, "Reading…"));
      try {
        const found = await newest(asked());
        L.fill(place, el("p", {}, el("b", {}, found.sentence), "."), found.groups.map(group));
        fill.dataset.id = found.id;
        fill.disabled = false;
      } catch (error) { L.fill(place, el("p", { class: "lor-problem", role: "alert" }, error.message)); }
    };
    const look = () => show(() => L.post("/api/import-settings", { path: path.value }));
    return [
      el("p", { class: "lor-help" }, "A preset of kohya_ss (.json), settings or a data set file of sd-scripts (.toml), or a LoRA (.safetensors). You see what becomes of each setting before anything is filled in."),
      el("label", { class: "lor-label", for: "import-path" }, "File on the machine that trains"),
      el("div", { class: "lor-row tight" }, path, L.button("Browse…", async () => {
        const chosen = await L.browse("file", path.value, "Settings to import");
        if (chosen) { path.value = chosen; look(); }
      }), L.button("Look", look)),
      el("label", { class: "lor-label", for: "import-file" }, "Or a file from this computer"), file, place,
      el("div", { class: "lor-row end lor-import-end" }, L.button("Cancel", () => close()), fill),
    ];
  });

  const undo = L.button("Undo import", () => trigger("undo", {}), "quiet", { hidden: true, id: "import-undo" });
  L.put(root, el("div", { class: "lor-row lor-import-row" }, L.button("Import settings…", open, "", { id: "import-open" }), undo,
    el("span", { class: "lor-note" }, "from kohya_ss, sd-scripts or a LoRA file")));
  watch("value", () => { undo.hidden = !props.value?.undo; });
};
