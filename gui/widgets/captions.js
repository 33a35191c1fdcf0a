// What the captions room and the Runs tab both show of a captioning run: its state in words, what can be asked of it, and
// its captions beside their pictures, with what changed in each.
"use strict";
(() => {
  const L = Loratory, { el } = L;
  const n = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
  L.counted = n;

  L.captionStatus = (run) => {
    const said = run.captions, phase = { load: "the model is loaded", download: "the model is downloaded" }[run.phase.name] || run.phase.name, done = `${run.step.toLocaleString("en")} of ${n(run.total, "picture")}`;
    const part = phase && `${phase[0].toUpperCase()}${phase.slice(1)}${run.phase.total > 1 ? `: ${run.phase.name === "download" ? `${L.bytes(run.phase.done)} of ${L.bytes(run.phase.total)}` : `${run.phase.done} of ${run.phase.total}`}` : "…"}`;
    return {
      queued: run.waits ? "Waits in the queue, which is shown above." : "Not in the queue: it waits for you.",
      running: run.asked.includes("stop") ? "Stopping after these pictures; what is written stays." : part || (run.total
        ? `${said.passes > 1 ? `${said.captioner}, ${said.pass} of ${said.passes}: ` : ""}${done}${run.img_s ? `, ${L.number(run.img_s, 3)} a second` : ""}${run.eta ? `, ${L.duration(run.eta)} left` : ""}` : "Starting…"),
      interrupted: `Interrupted after ${done}. It can go on where it was.`, stopped: `Stopped after ${done}. It can go on where it was.`,
      failed: run.step ? `Failed after ${done}.` : "Failed.",
      finished: `${said.dry_run ? "Nothing was written. " : ""}Finished${run.end.seconds === undefined ? "" : ` in ${L.duration(run.end.seconds)}`}.`,
    }[run.state];
  };
  L.captionFacts = (run) => {
    const said = run.captions, fact = (name, value) => el("div", { class: "lor-fact" }, el("b", {}, value.toLocaleString("en")), el("span", {}, name));
    return [run.total > 0 && fact(run.total === 1 ? "picture" : "pictures", run.total), fact(said.dry_run ? "would be written" : "written", said.written),
      said.same > 0 && fact("right already", said.same), said.kept > 0 && fact("changed meanwhile, kept", said.kept), said.failed > 0 && fact("failed", said.failed), said.skipped > 0 && fact("had one already", said.skipped)];
  };
  // `after(id)`: something changed; with an id, another run is to be shown.
  L.captionActions = (run, after) => {
    const act = (where, done) => async () => {
      const reply = await L.attempt(() => L.post(where));
      if (reply && done) L.toast(typeof done === "function" ? done(reply) : done);
      if (reply && "changed" in reply) L.captionsChanged?.();
      after(reply?.run);
    };
    const base = `/api/runs/${encodeURIComponent(run.id)}`, ours = `/api/captions/${encodeURIComponent(run.id)}`, said = run.captions;
    const over = ["finished", "stopped", "failed", "interrupted"].includes(run.state);
    return [
      run.state === "running" && [L.button("Stop", act(`${base}/stop`, "It stops after these pictures. What is written stays, and can be undone."), "primary", { disabled: run.asked.includes("stop") }),
        L.button("End at once…", async () => { if (await L.confirm("End this run at once?", "Captions that are written stay. Stop is nearly always better.", "End at once")) await act(`${base}/kill`)(); }, "quiet")],
      over && run.state !== "finished" && L.button("Resume", act(`${base}/resume`, "It goes on where it was."), "primary"),
      run.state === "queued" && (run.waits ? L.button("Take out of the queue", act(`${base}/stop`)) : L.button("Put into the queue", act(`${base}/queue`), "primary")),
      run.state === "finished" && said.dry_run && said.written > 0 && L.button(`Write ${said.written === 1 ? "this caption" : `these ${said.written.toLocaleString("en")} captions`}`, act(`${ours}/write`), "primary"),
      over && said.failed > 0 && said.problems > 0 && L.button(`Retry ${n(said.failed, "failure")}`, act(`${base}/resume`, "It goes on with the pictures that failed.")),
      over && said.move === "undo" && L.button("Undo", act(`${ours}/undo`, L.undone), "", { title: "Put back the captions that were there before this run" }),
      over && said.move === "redo" && L.button("Redo", act(`${ours}/redo`, L.redone), "", { title: "Write the captions of this run again" })];
  };
  L.redone = ({ changed, kept }) => `${n(changed, "file")} done again.${kept.length ? ` ${n(kept.length, "file")} changed since and left.` : ""}`;
  L.undone = ({ changed, kept }) => `${n(changed, "file")} as before.${kept.length ? ` ${n(kept.length, "file")} changed since and left as ${kept.length === 1 ? "it is" : "they are"}: ${kept.slice(0, 3).map((one) => one.name).join(", ")}.` : ""}`;

  // What changed between two captions: by tags where there are commas and no sentences, else by words.
  const split = (text, tags) => (tags ? text.split(/,\s*/) : text.split(/\s+/)).filter(Boolean).slice(0, 400);
  L.difference = (before, after) => {
    const both = `${before}\n${after}`, tags = both.includes(",") && !/[a-z)"'][.!?](\s|$)/.test(both);
    const [a, b] = [split(before, tags), split(after, tags)];
    const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    const parts = [];
    for (let i = 0, j = 0; i < a.length || j < b.length;) {
      if (i < a.length && j < b.length && a[i] === b[j]) { parts.push(["same", b[j]]); i += 1; j += 1; }
      else if (i < a.length && (j >= b.length || longest[i + 1][j] >= longest[i][j + 1])) { parts.push(["del", a[i]]); i += 1; }
      else { parts.push(["ins", b[j]]); j += 1; }
    }
    return parts.map(([kind, text], index) => [kind === "same" ? text : el(kind, {}, text), index < parts.length - 1 && (tags ? ", " : " ")]);
  };
  L.captionText = (line) => (line.before && line.before !== line.text && line.outcome !== "kept" ? el("p", { class: "lor-diff" }, L.difference(line.before, line.text)) : el("p", {}, line.text || "nothing was said"));
  const OUTCOMES = { written: "written", same: "right already", kept: "kept as it was", "would write": "would be written" };
  L.thumb = (line, onclick, side = 256) => el("button", { type: "button", class: "lor-thumb", "aria-label": `${line.name}, enlarge`, onclick },
    el("img", { loading: "lazy", decoding: "async", alt: "", width: 256, height: 256, src: `/api/pictures/${line.id}?side=${side}` }));
  L.enlarged = (line) => L.dialog(line.name, (close, dialog) => {
    dialog.classList.add("lor-viewer");
    return [el("img", { alt: "", src: `/api/pictures/${line.id}?side=768` }), el("div", { class: "lor-viewer-text" }, el("h3", {}, line.name), el("p", {}, line.text),
      line.before && line.before !== line.text && [el("p", { class: "lor-label" }, "Before"), el("p", {}, line.before)]),
    el("div", { class: "lor-row end" }, L.button("Copy", () => L.copy(line.text)), L.button("Close", () => close(), "", { autofocus: true }))];
  });

  // The captions of a run, a page at a time. `refresh(run)` with what /api/runs tells of it.
  L.captionResults = () => {
    const PAGE = 12;
    let id = null, only = "all", most = PAGE, drawn = "", fetched = 0;
    const newest = L.latest();
    const grid = el("div", { class: "lor-results", role: "list", "aria-label": "Captions" });
    const more = L.button("Show more", () => { most *= 5; fetchNow(); }, "", { hidden: true });
    const count = el("span", { class: "lor-note", role: "status" });
    const choices = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "Which captions" }, Object.entries({ all: "All", changed: "Changed", kept: "Kept", failed: "Failed" }).map(([name, word]) =>
      el("label", {}, el("input", { type: "radio", name: `captions-${L.resultsDrawn = (L.resultsDrawn || 0) + 1}`, value: name, checked: name === "all", onchange: () => { only = name; most = PAGE; fetchNow(); } }), el("span", {}, word))));
    const group = `captions-of-${L.resultsDrawn}`;
    for (const radio of choices.querySelectorAll("input")) radio.name = group;
    const node = el("div", { class: "lor-card", hidden: true }, el("h2", {}, "Captions"), el("div", { class: "lor-row" }, choices, count, el("span", { class: "grow" }), L.button("Edit captions", () => L.editCaptions({ run: id }))), grid, el("div", { class: "lor-row" }, more));
    const line = (one) => el("div", { class: "lor-result", role: "listitem" }, L.thumb(one, () => L.enlarged(one)),
      el("div", {}, el("p", { class: "lor-note lor-path" }, one.name, " · ", OUTCOMES[one.outcome] || one.outcome), L.captionText(one)));
    const failure = (one) => el("div", { class: "lor-result", role: "listitem" }, L.thumb(one, () => L.enlarged({ ...one, text: `${one.reason}; ${one.fix}`, before: "" })),
      el("div", {}, el("p", { class: "lor-note lor-path" }, one.name), el("p", {}, `${one.reason}. `, el("span", { class: "lor-note" }, `What to do: ${one.fix}.`))));
    const fetchNow = async () => {
      if (!id) return;
      const base = `/api/captions/${encodeURIComponent(id)}`;
      const found = await newest(L.get(only === "failed" ? `${base}/problems` : `${base}/said?only=${only}&most=${most}`));
      count.textContent = n(found.count, only === "failed" ? "picture" : "caption");
      L.fill(grid, found.lines.map(only === "failed" ? failure : line));
      more.hidden = only === "failed" || found.lines.length >= found.count;
    };
    const refresh = async (run) => {
      if (run.id !== id) { id = run.id; most = PAGE; only = "all"; drawn = ""; L.fill(grid); choices.querySelector("input").checked = true; }
      node.hidden = !run.captions.said && !run.captions.problems;
      const now = JSON.stringify([run.captions.said, run.captions.problems, run.captions.written, run.state]);
      const often = run.state !== "running" || most <= 5 * PAGE || Date.now() - fetched > 5000;  // a long list is not drawn anew for each caption
      if (now === drawn || !often) return;
      drawn = now;
      fetched = Date.now();
      await fetchNow();
    };
    return { node, refresh };
  };
})();
