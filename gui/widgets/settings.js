// The Settings tab: where things are, how the page looks, whether the machine is fit, tokens, and the keys.
"use strict";
Loratory.settings = (root) => {
  const L = Loratory, { el } = L;
  const where = el("dl", { class: "lor-facts" });
  const results = el("div", { role: "status" });
  const check = L.button("Check this machine", async () => {
    check.disabled = true;
    L.fill(results, el("p", { class: "lor-note" }, "Looking… this takes some seconds."));
    const found = await L.attempt(() => L.post("/api/doctor"));
    check.disabled = false;
    L.fill(results, found && el("ul", { class: "lor-checks" }, found.map((line) => el("li", { class: line.status },
      el("b", {}, line.name), el("span", {}, line.found), line.fix && el("span", { class: "lor-note" }, `What to do: ${line.fix}`)))));
  });
  const themes = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "Theme" }, ["system", "light", "dark"].map((name) =>
    el("label", {}, el("input", { type: "radio", name: "theme", value: name, onchange: () => L.theme(name) }), el("span", {}, name[0].toUpperCase() + name.slice(1)))));
  L.onTheme.push((name) => { for (const radio of themes.querySelectorAll("input")) radio.checked = radio.value === name; });
  for (const radio of themes.querySelectorAll("input")) radio.checked = radio.value === L.theme();
  const card = (title, ...content) => el("section", { class: "lor-card" }, el("h2", {}, title), content);
  L.put(root, el("div", { class: "lor-columns" },
    card("Workspace", el("p", { class: "lor-help" }, "Runs, presets, drafts and caches are kept here. Start with LORATORY_HOME=/another/folder to use another one."), where),
    card("Theme", themes),
    card("This machine", el("p", { class: "lor-help" }, "Python, packages, GPU, precision, disk, memory and network, each with what to do about it."), check, results),
    L.accessCards(card),
    card("Keyboard shortcuts", L.shortcuts())));
  L.attempt(async () => {
    const about = await L.get("/api/about");
    const line = (name, value) => [el("dt", {}, name), el("dd", { class: "lor-path" }, value)];
    L.fill(where, line("Folder", about.workspace), line("Free on this disk", `${L.bytes(about.free)} of ${L.bytes(about.size)}`), line("Program", about.program),
      line("Versions", `Python ${about.python}, ${Object.entries(about.versions).map(([name, version]) => `${name} ${version}`).join(", ")}`));
  });
};
