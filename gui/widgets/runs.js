// The Runs tab: all runs at the left, the chosen one at the right, read from the job folders by polling.
"use strict";
Loratory.runs = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const WORDS = { queued: "waiting", running: "running", finished: "finished", stopped: "stopped", paused: "paused", failed: "failed", interrupted: "interrupted" };
  let chosen = null, view = null, known = [];
  const list = el("nav", { class: "lor-runs-list", "aria-label": "Runs" });
  const place = el("div", { class: "lor-run" });
  L.put(root, el("div", { class: "lor-runs-page" }, list, place));

  const choose = (id) => {
    if (chosen === id) return;
    chosen = id;
    try { sessionStorage.setItem("loratory-run", id); } catch { /* private window */ }
    view = L.runView(id, { changed: () => turnList(), load: (weights, fix = null) => trigger("choose", { run: id, weights, fix }) });
    L.fill(place, view.node);
    drawList();
    turnDetail();
  };
  L.chooseRun = choose;
  const drawList = () => {
    if (!known.length) return L.fill(list, el("p", { class: "lor-note" }, "No runs yet."));
    return L.fill(list, known.map((run) => {
      const bar = el("span", { class: "lor-progress" }, el("span", {}));
      bar.firstChild.style.width = `${run.total ? (100 * run.step) / run.total : 0}%`;
      return el("button", { type: "button", class: "lor-run-line", "aria-current": run.id === chosen ? "true" : null, onclick: () => choose(run.id) },
        el("span", { class: "lor-row tight" }, el("b", {}, run.name), L.chip(run.state, WORDS[run.state])),
        run.state === "running" && bar,
        el("span", { class: "lor-note" }, L.when(run.created), run.step ? ` · ${run.step.toLocaleString("en")}${run.total && run.state === "running" ? ` of ${run.total.toLocaleString("en")}` : ""} ${run.kind === "captions" ? "pictures" : "steps"}` : ""));
    }));
  };
  let before = "";
  const turnList = L.poll(root, 2, async () => {
    known = await L.get("/api/runs");
    if (!chosen && known.length) {
      let last = null;
      try { last = sessionStorage.getItem("loratory-run"); } catch { /* private window */ }
      choose(props.value?.run || L.runWanted || (known.some((run) => run.id === last) ? last : known[0].id));
    }
    if (!known.length) L.fill(place, el("div", { class: "lor-card lor-nothing" }, el("h2", {}, "Nothing has been captioned or trained yet"),
      el("p", {}, "A run appears here as soon as it is started, and stays here with its captions, or its curve, samples and files."), L.button("Go to LoRA training", () => L.openTab("train"), "primary")));
    const now = JSON.stringify([known, chosen]);
    if (now !== before) drawList();
    before = now;
  });
  const turnDetail = L.poll(root, 1.2, async () => { if (view) await view.refresh(); });
  watch("value", () => { if (props.value?.run) { turnList(); choose(props.value.run); } });
};

// This room may not have been entered yet: then it begins with the run that is wanted.
Loratory.openRun = (id) => { Loratory.runWanted = id; Loratory.openTab("runs"); Loratory.chooseRun?.(id); };

Loratory.chip = (state, word) => Loratory.el("span", { class: `lor-chip ${state === "paused" ? "stopped" : state}` }, Loratory.el("span", { class: "lor-dot" }), word || state);
