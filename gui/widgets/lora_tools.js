// The LoRA tools room: look into a file, and write it anew for another program.
"use strict";
Loratory.loraTools = (root, { about }) => {
  const L = Loratory, { el } = L;
  const path = el("input", { class: "lor-input", id: "lora-path", type: "text", spellcheck: "false", placeholder: "A .safetensors file, or a folder of PEFT or diffusers",
    onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); look(); } } });
  const place = el("div", { role: "status", "aria-live": "polite" }), written = el("div", { role: "status", "aria-live": "polite" });
  const pick = (kind, words) => L.button(words, async () => {
    const found = await L.browse(kind, path.value, "A LoRA");
    if (found) { path.value = found; look(); }
  });
  const newest = L.latest();
  const wait = async (button, task) => {
    button.disabled = true;
    try { return await task(); } catch (error) { return { problem: error.message }; } finally { button.disabled = false; }
  };
  const look = async () => {
    L.fill(written);
    L.fill(place, el("p", { class: "lor-note" }, "Reading…"));
    const report = await newest(wait(looking, () => L.post("/api/lora/inspect", { path: path.value })));
    L.fill(place, report.problem ? el("p", { class: "lor-problem", role: "alert" }, report.problem) : [described(report), converting(report)]);
  };
  const looking = L.button("Look", () => look(), "primary", { id: "lora-look" });

  const fact = (name, value) => el("div", { class: "lor-fact" }, el("b", {}, value), el("span", {}, name));
  const described = (report) => {
    const said = Object.entries(report.metadata), image = report.metadata["modelspec.thumbnail"] || "";
    return el("div", { class: "lor-card" },
      el("div", { class: "lor-row" }, image.startsWith("data:image/jpeg;base64,") && el("img", { src: image, alt: "Thumbnail in the file", width: 96 }),
        el("div", { class: "lor-facts-row" }, fact("family", report.family.label), fact("names", report.dialect), fact("format", report.precision.join(", ")), fact("size", L.bytes(report.bytes)))),
      report.unmatched.count > 0 && el("p", { class: "lor-warning" }, `${L.counted(report.unmatched.count, "key")} fit no layer of this family and are left out, such as ${report.unmatched.examples.join(", ")}`),
      L.coverage(report.coverage),
      said.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, `Metadata: ${said.length} entries`),
        el("table", { class: "lor-table" }, el("tbody", {}, said.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", { class: "lor-path" }, value.length > 300 ? `${value.slice(0, 300)}…` : value)))))));
  };
  const converting = (report) => {
    const choice = el("select", { class: "lor-input", id: "lora-dialect" }, about.dialects.map((one) => el("option", { value: one.name }, one.about)));
    const button = L.button("Write it beside the file", async () => {
      const done = await wait(button, () => L.post("/api/lora/convert", { path: report.path, to: choice.value }));
      L.fill(written, done.problem ? el("p", { class: "lor-problem", role: "alert" }, done.problem)
        : el("p", {}, `${L.counted(done.layers, "layer")} written and read back: `, el("span", { class: "lor-path" }, done.path)));
    }, "", { id: "lora-convert" });
    return el("div", { class: "lor-card" }, el("h3", {}, "For another program"),
      el("p", { class: "lor-help" }, "The same weights and strength under other names. Nothing is overwritten."),
      el("label", { class: "lor-label", for: "lora-dialect" }, "Names"), el("div", { class: "lor-row" }, choice, button), written);
  };
  root.append(el("div", { class: "lor-card" }, el("h2", {}, "LoRA tools"), el("p", { class: "lor-help" }, "Which model a LoRA was made for, what it changes, and the same LoRA for other programs."),
    el("label", { class: "lor-label", for: "lora-path" }, "LoRA"), el("div", { class: "lor-row" }, path, pick("file", "File…"), pick("folder", "Folder…"), looking)), place);
};
