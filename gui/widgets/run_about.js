// What a person says of a run (a star, tags, notes, kept as they are typed) and does with it as a whole.
"use strict";
Loratory.runAbout = (id, { changed, duplicate, pick, thrown }) => {
  const L = Loratory, { el } = L;
  const base = `/api/runs/${encodeURIComponent(id)}`;
  let kept = { text: "", tags: [], best: false }, soon = null;
  const status = el("span", { class: "lor-note", role: "status" });
  const keep = async (changes) => {
    const now = await L.attempt(() => L.post(`${base}/notes`, changes));
    if (!now) return;
    kept = now;
    status.textContent = "Kept.";
    draw();
    changed();
  };
  const star = L.button("☆ Best", () => keep({ best: !kept.best }), "quiet", { "aria-pressed": "false" });
  const tags = el("span", { class: "lor-row lor-about-tags" });
  const add = el("input", { class: "lor-input lor-about-tag", placeholder: "Add a tag", "aria-label": "Add a tag", maxlength: 40, disabled: true });
  const addTag = () => {
    const tag = add.value.replaceAll(",", " ").trim();
    add.value = "";
    if (tag) keep({ tags: [...kept.tags, tag] });
  };
  add.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === ",") { event.preventDefault(); addTag(); } });
  add.addEventListener("change", addTag);
  const text = el("textarea", { class: "lor-input lor-about-text", rows: 2, placeholder: "Notes: what was tried, what came of it", "aria-label": "Notes", disabled: true });
  const leave = () => {
    if (soon === null) return;
    clearTimeout(soon);
    soon = null;
    keep({ text: text.value });
  };
  text.addEventListener("input", () => { status.textContent = ""; clearTimeout(soon); soon = setTimeout(leave, 700); });
  text.addEventListener("blur", leave);

  const draw = () => {
    star.textContent = kept.best ? "★ Best" : "☆ Best";
    star.setAttribute("aria-pressed", String(kept.best));
    L.fill(tags, kept.tags.map((tag) => el("span", { class: "lor-run-tag" }, tag, el("button", { type: "button", "aria-label": `Remove the tag ${tag}`, onclick: () => keep({ tags: kept.tags.filter((one) => one !== tag) }) }, "×"))));
  };
  const throwAway = async () => {
    leave();
    const answer = await L.attempt(() => L.post(`${base}/bin`));
    if (answer) thrown(answer.name);
  };
  const bin = L.button("Move to the bin", throwAway, "quiet");
  L.attempt(async () => {
    kept = await L.get(`${base}/notes`);
    text.value = kept.text;
    text.rows = Math.min(12, Math.max(2, kept.text.split("\n").length));
    text.disabled = add.disabled = false;
    draw();
  });
  return {
    node: el("div", { class: "lor-card lor-about" }, el("div", { class: "lor-row" }, star, tags, add, status), text,
      el("div", { class: "lor-row" }, L.button("Duplicate with changes", duplicate), L.button("Compare…", () => { pick(); L.toast("Choose another one in the list, then press Compare."); }),
        el("a", { class: "lor-button", href: `${base}/report`, download: "" }, "Report"), bin)),
    leave,
    state: (state) => { bin.disabled = state === "running"; bin.title = bin.disabled ? "Stop it first" : ""; },
  };
};

// What lies in the bin: put back, or deleted for good.
Loratory.runsBin = (changed) => Loratory.dialog("Bin", (close) => {
  const L = Loratory, { el } = L;
  const box = el("div", {});
  const draw = async () => {
    const things = await L.attempt(() => L.get("/api/bin"));
    if (!things) return;
    const bytes = L.bytes(things.reduce((sum, thing) => sum + thing.bytes, 0)), names = things.map((thing) => thing.name);
    const runs = `${things.length} run${things.length === 1 ? "" : "s"}`;
    const restore = async (thing) => { if (await L.attempt(() => L.post("/api/bin/restore", { names: [thing.name] }))) L.toast(`${thing.run} is among the runs again.`); changed(); draw(); };
    const empty = async () => {
      if (!(await L.confirm(`Delete ${runs} for good?`, `That frees ${bytes}: their LoRA files, checkpoints, samples, logs and notes. Nothing can bring them back.`, `Delete ${bytes}`))) return;
      const done = await L.attempt(() => L.post("/api/bin/empty", { names }));
      if (done) L.toast(`${L.bytes(done.bytes)} freed.`);
      changed();
      draw();
    };
    L.fill(box, things.length ? el("ul", { class: "lor-files" }, things.map((thing) => el("li", { class: "lor-file" }, el("span", { class: "lor-path" }, thing.run),
      el("span", { class: "lor-note" }, `${L.bytes(thing.bytes)} · begun ${L.when(thing.created)} · thrown away ${L.when(thing.thrown)}`), L.button("Put back", () => restore(thing), "", { "aria-label": `Put ${thing.run} back` }))))
      : el("p", {}, "It is empty."),
    el("div", { class: "lor-row end" }, things.length > 0 && L.button(`Empty the bin (${bytes})…`, empty, "danger"), L.button("Close", () => close(), "", { autofocus: true })));
  };
  draw();
  return [el("p", { class: "lor-help" }, "Runs that were thrown away, whole. Copies of LoRA files in other folders were not touched."), box];
});
