// The captioning run of this room: how far it is, the last pictures with their captions as they come, what can be asked of it.
"use strict";
Loratory.captioned = (root, { props, watch }) => {
  const L = Loratory, { el } = L;
  let id = null, before = "", strip = "", settled = null;
  const head = el("div", { class: "lor-row" }), progress = el("progress", { max: 1, value: 0, "aria-label": "Progress" }), status = el("p", { role: "status" }), name = el("p", { class: "lor-note lor-path" });
  const actions = el("div", { class: "lor-row" }), facts = el("div", { class: "lor-facts-row" }), ending = el("div", {});
  const live = el("div", { class: "lor-strip", "aria-label": "Last captions", role: "list" });
  const card = el("div", { class: "lor-card", hidden: true }, head, name, progress, status, facts, actions, ending, live);
  root.append(card);

  const choose = (run) => { if (run && run !== id) { id = run; before = strip = ""; L.fill(live); } turn(); };
  const draw = (run) => {
    L.fill(head, el("h2", {}, run.captions.dry_run ? "What would change" : "Captions"), L.chip(run.state, run.word), L.button("Open in Runs", () => L.openRun(run.id), "quiet"));
    progress.hidden = run.state !== "running";
    if (run.phase.name && run.phase.total > 1) { progress.max = run.phase.total; progress.value = run.phase.done; }
    else if (run.total && !run.phase.name) { progress.max = run.total; progress.value = run.step; } else progress.removeAttribute("value");
    name.textContent = run.name;
    status.textContent = L.captionStatus(run);
    L.fill(facts, L.captionFacts(run));
    L.fill(actions, L.captionActions(run, choose));
    L.fill(ending, run.end.kind === "failed" && el("div", { class: "lor-failed lor-inset", role: "alert" }, el("p", {}, run.end.cause), run.end.fix && el("p", { class: "lor-note" }, run.end.fix)),
      run.warnings.map((text) => el("p", { class: "lor-warning" }, text)));
  };
  const turn = L.poll(root, 0.7, async () => {
    if (!id) {
      const found = (await L.get("/api/captions")).run;
      if (!found) return;
      id ||= found;
    }
    const run = await L.get(`/api/runs/${encodeURIComponent(id)}`);
    if (run.id !== id) return;
    card.hidden = false;
    const now = JSON.stringify([run.state, run.step, run.total, run.phase, run.eta, run.asked, run.waits, run.warnings, run.captions]);
    if (now !== before) draw(run);
    before = now;
    if (strip !== `${run.id} ${run.captions.newest}`) {
      const lines = await L.get(`/api/captions/${encodeURIComponent(run.id)}/newest`);
      strip = `${run.id} ${run.captions.newest}`;
      L.fill(live, lines.slice(0, 4).map((line) => el("div", { class: "lor-result", role: "listitem" }, L.thumb(line, () => L.enlarged(line)),
        el("div", {}, el("p", { class: "lor-note lor-path" }, line.name, line.captioner && ` · ${line.captioner}`), el("p", { class: "lor-caption" }, line.text)))));
    }
    await L.captionAll?.(run);
    if (["queued", "running"].includes(run.state)) settled = null;
    else if (settled !== id) { settled = id; L.captionsChanged?.(); }
  });
  watch("value", () => { if (props.value?.what === "test") L.captionTested?.(props.value.run); else choose(props.value?.run); });
  root.dataset.ready = "";
};

// Below the form: everything that the run of this room has said.
Loratory.results = (root) => {
  const results = Loratory.captionResults();
  root.append(results.node);
  Loratory.captionAll = results.refresh;
};
