// Import & export: what to make of a data set, or of somebody else's, said in a few fields and done by a work of its own.
"use strict";
{
  const L = Loratory, { el } = L;

  // Fields for settings as `about.fields` describes them; those that mean nothing for the chosen format are not shown.
  const fields = (about, { prefix, lists, skip = [] }) => {
    const rows = new Map();
    const shownFor = () => rows.get("format").value();
    const one = (field) => {
      const id = `${prefix}-${field.name}`, note = el("p", { class: "lor-help" }, field.help), wrong = el("p", { class: "lor-problem", role: "alert", hidden: true });
      const choices = lists[field.name] || (field.choices.length ? field.choices.map((name) => ({ name, label: name })) : null);
      const input = choices
        ? el("select", { class: "lor-input", id, onchange: () => { chosen(); refresh(); } }, choices.map(({ name, label }) => el("option", { value: name }, label)))
        : field.kind === "switch" ? el("input", { type: "checkbox", id, checked: field.default })
          : el("input", { class: "lor-input", id, type: field.kind, spellcheck: "false", value: field.default ?? "", step: field.step ?? (field.kind === "number" ? "any" : null), min: field.minimum, max: field.maximum });
      if (choices) input.value = field.default;
      const chosen = () => {
        const about = choices?.find(({ name }) => name === input.value);
        if (about?.help) L.fill(note, about.help, about.needs && el("span", { class: "lor-warning block" }, about.needs));
      };
      const browse = (kind, words) => L.button(words, async () => {
        const path = await L.browse(kind, input.value, field.label);
        if (path) { input.value = field.name === "output" ? `${path.replace(/[\\/]+$/, "")}/${input.dataset.name || "new data set"}` : path; input.dispatchEvent(new Event("input", { bubbles: true })); }
      }, "", { "aria-label": `${words} ${field.label}` });
      const picks = field.name === "source" ? [browse("folder", "Folder…"), browse("file", "File…")] : field.pick ? [browse("folder", "Browse…")] : [];
      const node = el("div", { class: "lor-plain-field" },
        field.kind === "switch" ? el("label", { class: "lor-row tight", for: id }, input, el("b", {}, field.label)) : el("label", { class: "lor-label", for: id }, field.label),
        field.kind !== "switch" && (picks.length ? el("div", { class: "lor-row" }, input, picks) : input), note, wrong);
      chosen();
      const value = () => (field.kind === "switch" ? input.checked : field.kind === "number" ? Number(input.value) : input.value);
      return { field, node, input, wrong, value };
    };
    for (const field of about.fields) if (!skip.includes(field.name)) rows.set(field.name, one(field));
    const refresh = () => {
      for (const { field, node } of rows.values()) node.hidden = field.when.length > 0 && !field.when.includes(shownFor());
    };
    refresh();
    const drawn = [...rows.values()], quick = drawn.filter(({ field }) => field.quick), others = drawn.filter(({ field }) => !field.quick);
    return {
      node: [quick.map(({ node }) => node), others.length > 0 && el("details", { class: "lor-more" }, el("summary", {}, "More"), others.map(({ node }) => node))],
      input: (name) => rows.get(name).input,
      values: () => Object.fromEntries([...rows].filter(([, row]) => !row.node.hidden).map(([name, row]) => [name, row.value()])),
      say: (problems) => {
        for (const [name, row] of rows) { row.wrong.textContent = problems[name] || ""; row.wrong.hidden = !problems[name]; }
        if (others.some(({ field }) => problems[field.name])) others[0].node.parentElement.open = true;
        const unseen = Object.entries(problems).filter(([name]) => !rows.has(name) || rows.get(name).node.hidden).map(([, text]) => text);
        if (unseen.length) L.toast(unseen.join("; "), true);
      },
    };
  };
  // What is wrong stands beside its field.
  const begin = async (form, task) => {
    form.say({});
    try { return await task(); }
    catch (error) {
      if (error.body?.problems && !Array.isArray(error.body.problems)) form.say(error.body.problems); else L.toast(error.message, true);
      return undefined;
    }
  };
  const looked = ({ sentence, losses = [], first = [] }) => [
    el("p", {}, sentence), losses.map((text) => el("p", { class: "lor-warning" }, text)),
    first.length > 0 && el("div", { class: "lor-scroll" }, el("table", { class: "lor-table" }, el("tbody", {}, first.map(({ name, caption }) => el("tr", {}, el("td", { class: "lor-path" }, name), el("td", {}, caption || el("i", {}, "no caption"))))))),
  ];

  L.exporting = (root, { about }) => {
    let folder = "";
    const form = fields(about, { prefix: "export", lists: { format: about.formats }, skip: ["folder", "dry_run"] });
    const which = el("p", { class: "lor-note lor-path" }, "Open a data set on the page Pictures first."), place = el("div", { role: "status", class: "lor-after" });
    const made = el("div", { class: "lor-after" });
    const doing = L.work(made, { words: (report) => (report.end.dry_run === false ? [report.end.sentence] : []) });
    const zip = () => begin(form, async () => {
      const values = form.values();
      const found = await L.post("/api/exchange/look", values);
      delete values.output;
      L.fill(place, looked(found), el("p", { class: "lor-note" }, "The download begins; the zip is made while it is sent."));
      const link = el("a", { href: `/api/exchange/zip?${new URLSearchParams(values)}`, download: "" });
      document.body.append(link);
      link.click();
      link.remove();
    });
    L.put(root, el("div", { class: "lor-card" }, el("h2", {}, "Export"), el("p", { class: "lor-help" }, about.help), which, form.node,
      el("div", { class: "lor-row" },
        L.button("Download as zip", zip, "primary"),
        L.button("Preview", () => begin(form, async () => L.fill(place, looked(await L.post("/api/exchange/look", form.values()))))),
        L.button("Write to the new folder", () => begin(form, async () => { L.fill(place); await doing.begin("export", { ...form.values(), folder }); }))),
      place, made));
    L.onOpened((path) => { folder = path; which.textContent = path; form.input("output").dataset.name = `${path.split(/[\\/]/).filter(Boolean).pop()} exported`; });
  };

  L.importing = (root, { about }) => {
    const auto = { name: "auto", label: "Find out by looking at it", help: "The format is guessed from the files, and said." };
    const form = fields(about, { prefix: "import", lists: { format: [auto, ...about.formats], to: about.layouts }, skip: ["dry_run"] });
    const made = el("div", { class: "lor-after" });
    const words = (report) => [looked({ ...report.end, losses: [] }), summary(report.end.summary),
      report.end.dry_run ? el("span", { class: "lor-note" }, "Nothing was written.") : L.button("Open this data set", () => L.openDataset?.(report.end.opens), "primary")];
    const work = L.work(made, { words });
    const start = (dry) => begin(form, () => work.begin("import", { ...form.values(), dry_run: dry }));
    form.input("source").addEventListener("input", () => {
      const output = form.input("output"), source = form.input("source").value.trim().replace(/[\\/]+$/, "");
      if (!output.dataset.typed) output.value = source ? `${source.replace(/\.[^./\\]{1,8}$/, "")} imported` : "";
    });
    form.input("output").addEventListener("input", (event) => { if (event.isTrusted) form.input("output").dataset.typed = "1"; });
    L.put(root, el("div", { class: "lor-card" }, el("h2", {}, "Import"), el("p", { class: "lor-help" }, about.help), form.node,
      el("div", { class: "lor-row" }, L.button("Import", () => start(false), "primary"), L.button("Preview", () => start(true))), made));
  };
  const summary = (found) => {
    if (!found) return null;
    const dropped = Object.entries(found.dropped), most = Math.max(1, ...Object.values(found.confidence_histogram));
    const bars = Object.entries(found.confidence_histogram).map(([range, count]) => {
      const bar = el("span", { class: "lor-bar" });
      bar.style.width = `${(100 * count) / most}%`;
      return el("tr", {}, el("td", {}, range), el("td", { class: "lor-bar-cell" }, el("span", { class: "lor-bar-track" }, bar), String(count)));
    });
    return el("div", {}, el("p", {}, `${L.counted(found.records, "record")}: ${found.kept.toLocaleString("en")} kept${dropped.length ? `, dropped ${dropped.map(([why, count]) => `${count} (${why})`).join(", ")}` : ""}.`),
      el("details", { class: "lor-details" }, el("summary", {}, "Confidences"), el("table", { class: "lor-table lor-buckets" }, el("tbody", {}, bars))));
  };

  L.balance = (root, { trigger }) => {
    const place = el("div", { role: "status", class: "lor-after" });
    const propose = () => L.attempt(async () => {
      const { concepts } = await L.get("/api/balance"), mine = concepts.filter((one) => !one.regularisation);
      const share = (key) => { const seen = mine.map((one) => one[key]); return Math.max(...seen) / Math.min(...seen); };
      const sum = (key) => concepts.reduce((total, one) => total + one[key], 0).toLocaleString("en");
      L.fill(place, el("div", { class: "lor-scroll" }, el("table", { class: "lor-table", id: "balance-table" },
        el("thead", {}, el("tr", {}, ["Concept", "Pictures", "Repeats now", "seen", "Proposed", "seen"].map((head) => el("th", {}, head)))),
        el("tbody", {}, concepts.map((one) => el("tr", {}, el("td", { class: "lor-path" }, one.words || one.name, one.regularisation && el("span", { class: "lor-note" }, " regularisation, stays")),
          [one.pictures, one.repeats, one.before].map((value) => el("td", {}, value.toLocaleString("en"))), el("td", {}, el("b", {}, String(one.proposed))), el("td", {}, one.after.toLocaleString("en")))),
        el("tr", {}, el("td", {}, el("b", {}, "An epoch")), el("td", {}, sum("pictures")), el("td", {}), el("td", {}, sum("before")), el("td", {}), el("td", {}, sum("after")))))),
      el("p", { class: "lor-note" }, `The most seen concept is seen ${L.number(share("before"), 3)} times as often as the least seen one now, and ${share("after") < 1.005 ? "all equally often" : `${L.number(share("after"), 3)} times`} with these repeats.`),
      L.button("Use these in LoRA training", () => trigger("choose", {}), "primary"));
    });
    L.put(root, el("div", { class: "lor-card" }, el("h2", {}, "Balance repeats"),
      el("p", { class: "lor-help" }, "Proposes repeats by which each concept (a folder such as 10_sks dog) is seen about equally often. They are filled into the training form, a row a folder; no folder is renamed, so captions, their history and other runs stay as they are."),
      L.button("Propose repeats", propose), place));
    let folder = null;
    L.onOpened((path) => { if (folder !== null && folder !== path) L.fill(place); folder = path; });
  };
}
