// The Runs tab: all runs at the left, searched and sorted; at the right the chosen one, or some of them compared. All of it
// is read from the job folders by polling.
"use strict";
Loratory.runs = (root, { props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const MANY = 50, MOST = 4;
  let chosen = null, view = null, many = MANY, picked = [], found = null;
  const lines = new Map();  // by run
  const search = L.runSearch(() => { many = MANY; turnList(); });
  const list = el("nav", { class: "lor-runs-list", "aria-label": "Runs" });
  const bar = el("div", { class: "lor-runs-picked", role: "status" }), foot = el("div", { class: "lor-row lor-runs-foot" });
  const place = el("div", { class: "lor-run" });
  L.put(root, el("div", { class: "lor-runs-page" }, el("div", { class: "lor-runs-side" }, search.node, bar, list, foot), place));

  const remember = (id) => { try { sessionStorage.setItem("loratory-run", id); } catch { /* private window */ } };
  const remembered = () => { try { return sessionStorage.getItem("loratory-run"); } catch { return null; } };
  const leave = (id) => { view?.leave?.(); chosen = id; view = null; };
  const choose = (id) => {
    if (chosen === id) return;
    leave(id);
    remember(id);
    const shown = L.runView(id, { changed: () => turnList(), load: (weights, fix) => trigger("choose", { run: id, weights, fix }) });
    const about = L.runAbout(id, { changed: () => turnList(), duplicate: () => trigger("choose", { run: id, duplicate: true }), pick: () => pick(id, true), thrown: (thing) => thrown(id, thing) });
    view = { node: shown.node, leave: about.leave, refresh: async () => { await shown.refresh(); about.state(lines.get(id)?.run.state); } };
    shown.node.querySelector(".lor-charts").before(about.node);
    L.fill(place, view.node);
    draw();
    turnDetail();
  };
  L.chooseRun = choose;
  const pick = (id, on) => {
    if (on && picked.length === MOST && !picked.includes(id)) L.toast(`At most ${MOST} runs are compared.`, true);
    else picked = on ? [...new Set([...picked, id])] : picked.filter((one) => one !== id);
    draw();
  };
  const compare = () => {
    const before = chosen;
    leave(null);
    view = L.runsCompared(picked, { open: (id) => choose(id), back: () => choose(before || picked[0]) });
    L.fill(place, view.node);
    draw();
    turnDetail();
  };
  const thrown = (id, thing) => {
    const back = async () => { if (await L.attempt(() => L.post("/api/bin/restore", { names: [thing] }))) { await turnList(); choose(id); } };
    picked = picked.filter((one) => one !== id);
    leave(null);
    L.fill(place, el("div", { class: "lor-card lor-nothing", role: "status" }, el("p", {}, "It is in the bin, whole."), L.button("Put it back", back, "primary")));
    turnList();
  };

  const welcome = el("div", { class: "lor-card lor-nothing" }, el("h2", {}, "Nothing has been captioned or trained yet"),
    el("p", {}, "A run appears here as soon as it is started, and stays here with its captions, or its curve, samples and files."), L.button("Go to LoRA training", () => L.openTab("train"), "primary"));
  const gone = el("div", { class: "lor-card lor-nothing" }, el("p", {}, "This run is not here any more. It may have been moved to the bin."));
  const draw = () => {
    if (!found) return;
    for (const run of found.runs) {
      if (!lines.has(run.id)) lines.set(run.id, L.runLine(run.id, { choose, pick }));
      lines.get(run.id).show(run, run.id === chosen, picked.includes(run.id));
    }
    const nodes = found.runs.map((run) => lines.get(run.id).node);
    if (nodes.length !== list.childElementCount || nodes.some((node, i) => node !== list.children[i])) L.fill(list, nodes);  // else nobody loses the focus
    if (!nodes.length) L.fill(list, el("p", { class: "lor-note" }, found.all ? "No run fits." : "No runs yet."));
    L.fill(bar, picked.length > 0 && el("div", { class: "lor-row" }, el("span", {}, `${picked.length} chosen`),
      L.button("Compare", compare, "primary", { disabled: picked.length < 2, title: picked.length < 2 ? "Choose a second one" : null }), L.button("Clear", () => { picked = []; draw(); }, "quiet")));
    L.fill(foot, found.found > found.runs.length && L.button(`${found.found - found.runs.length} more`, () => { many += 200; turnList(); }, "quiet"),
      found.binned > 0 && L.button(`Bin (${found.binned})`, () => L.runsBin(() => turnList()), "quiet"));
  };
  const newest = L.latest();
  let before = "";
  const turnList = L.poll(root, 2, async () => {
    found = await newest(L.get(`/api/history?${search.query()}&many=${many}`));
    search.offer(found);
    if (!chosen && !view && found.runs.length && (!place.childElementCount || welcome.isConnected)) {
      const last = remembered();
      choose(props.value?.run || L.runWanted || (found.runs.some((run) => run.id === last) ? last : found.runs[0].id));
    }
    if (!found.all && !found.binned && !welcome.isConnected) L.fill(place, welcome);
    if (JSON.stringify(found) !== before) draw();
    before = JSON.stringify(found);
  });
  const turnDetail = L.poll(root, 1.2, async () => {
    const asked = view;
    try { await asked?.refresh(); } catch (error) {
      if (error.status !== 404) throw error;
      if (view !== asked) return;  // thrown into the bin meanwhile, which is told already
      leave(null);
      L.fill(place, gone);
    }
  });
  watch("value", () => { if (props.value?.run) { turnList(); choose(props.value.run); } });
};

// One run in the list. Its elements stay the same ones while what they say changes.
Loratory.runLine = (id, { choose, pick }) => {
  const L = Loratory, { el } = L;
  const box = el("input", { type: "checkbox", onchange: () => pick(id, box.checked) });
  const button = el("button", { type: "button", class: "lor-run-line", onclick: () => choose(id) });
  const node = el("div", { class: "lor-run-item" }, el("label", { class: "lor-run-pick", title: "Choose to compare" }, box), button);
  const line = { node, run: {} };
  let told = "";
  const facts = (run) => [L.when(run.created), run.family,
    run.step && `${run.step.toLocaleString("en")}${run.total && run.state === "running" ? ` of ${run.total.toLocaleString("en")}` : ""} ${run.kind === "captions" ? "pictures" : "steps"}`,
    run.loss !== null && run.state !== "running" && `loss ${L.number(run.loss, 3)}`].filter(Boolean).join(" · ");
  line.show = (run, current, picked) => {
    line.run = run;
    box.checked = picked;
    box.setAttribute("aria-label", `Compare ${run.name}`);
    if (current) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    if (told === JSON.stringify(run)) return;
    told = JSON.stringify(run);
    const bar = el("span", { class: "lor-progress" }, el("span", {}));
    bar.firstChild.style.width = `${run.total ? (100 * run.step) / run.total : 0}%`;
    L.fill(button, el("span", { class: "lor-row tight" }, el("b", {}, run.best && el("span", { "aria-label": "best", class: "lor-star" }, "★ "), run.name), L.chip(run.state, run.word)),
      run.state === "running" && bar, el("span", { class: "lor-note" }, facts(run)),
      run.tags.length > 0 && el("span", { class: "lor-run-tags" }, run.tags.map((tag) => el("span", { class: "lor-run-tag" }, tag))),
      run.note && el("span", { class: "lor-note lor-run-note" }, run.note));
  };
  return line;
};

// What is sought: words, and what can be chosen from what there is.
Loratory.runSearch = (changed) => {
  const L = Loratory, { el } = L;
  const KINDS = { train: "trainings", captions: "captionings" };
  let soon, offered = "";
  const words = el("input", { type: "search", class: "lor-input", placeholder: "Search runs", "aria-label": "Search runs", title: "Names, notes, tags, settings such as rank=16, family, state",
    oninput: () => { clearTimeout(soon); soon = setTimeout(changed, 200); } });
  const select = (name, choices) => {
    const node = el("select", { class: "lor-input", "aria-label": name, onchange: () => { count(); changed(); } });
    node.offer = (pairs) => {
      const value = node.value;
      L.fill(node, pairs.map(([known, text]) => el("option", { value: known }, text)));
      if (value && !pairs.some(([known]) => known === value)) L.put(node, el("option", { value }, value));
      node.value = value || pairs[0][0];
    };
    node.offer(choices);
    return node;
  };
  const state = select("State", [["", "any state"]]), kind = select("Kind", [["", "any kind"]]), tag = select("Tag", [["", "any tag"]]);
  const sort = select("Order", [["newest", "newest first"], ["oldest", "oldest first"], ["name", "by name"], ["loss", "lowest loss"], ["steps", "most steps"]]);
  const summary = el("summary", {});
  const count = () => {
    const set = [state, kind, tag].filter((one) => one.value).length + (sort.value !== "newest");
    summary.textContent = set ? `Filter and order (${set})` : "Filter and order";
  };
  count();
  return {
    node: el("div", {}, words, el("details", { class: "lor-more lor-runs-filter" }, summary, el("div", { class: "lor-runs-selects" }, state, kind, tag, sort))),
    query: () => new URLSearchParams({ search: words.value, state: state.value, kind: kind.value, tag: tag.value, sort: sort.value }).toString(),
    offer: ({ states, kinds, tags, best }) => {
      if (offered === JSON.stringify([states, kinds, tags, best])) return;
      offered = JSON.stringify([states, kinds, tags, best]);
      state.offer([["", "any state"], ...states.map((one) => [one, one])]);
      kind.offer([["", "any kind"], ...kinds.map((one) => [one, KINDS[one] || one])]);
      tag.offer([["", "any tag"], ...(best ? [["★", "★ best"]] : []), ...tags.map((one) => [one, one])]);
    },
  };
};

// This room may not have been entered yet: then it begins with the run that is wanted.
Loratory.openRun = (id) => { Loratory.runWanted = id; Loratory.openTab("runs"); Loratory.chooseRun?.(id); };

Loratory.chip = (state, word) => Loratory.el("span", { class: `lor-chip ${state === "paused" ? "stopped" : state}` }, Loratory.el("span", { class: "lor-dot" }), word || state);
