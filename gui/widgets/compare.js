// Some runs beside each other: figures, losses in one chart, the settings that differ, samples of the same prompt and seed.
"use strict";
Loratory.runsCompared = (ids, { open, back }) => {
  const L = Loratory, { el } = L;
  const query = ids.map((id) => `runs=${encodeURIComponent(id)}`).join("&");
  const LAST = "last";
  let told = null, asked = 0;
  const swatch = (place) => el("span", { class: `lor-swatch line-${place + 1}`, "aria-hidden": "true" });
  const title = (run, place) => el("span", { class: "lor-row tight" }, swatch(place), el("span", { class: "lor-compare-name", title: run.name }, run.name));
  const heads = () => told.runs.map((run, place) => el("th", { scope: "col" }, title(run, place)));

  const figures = el("div", { class: "lor-scroll" });
  const drawFigures = () => {
    const names = [...new Set(told.runs.flatMap((run) => Object.keys(run.figures)))];
    L.fill(figures, el("table", { class: "lor-table lor-compared" }, el("thead", {}, el("tr", {}, el("td", {}), told.runs.map((run, place) => el("th", { scope: "col" }, el("button", { type: "button", class: "lor-link", onclick: () => open(run.id) }, title(run, place)))))),
      el("tbody", {}, el("tr", {}, el("th", { scope: "row" }, "State"), told.runs.map((run) => el("td", {}, L.chip(run.state, run.word)))),
        el("tr", {}, el("th", { scope: "row" }, "Begun"), told.runs.map((run) => el("td", {}, L.when(run.created)))),
        names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), told.runs.map((run) => el("td", {}, run.figures[name] || "–")))))));
  };

  const loss = L.chart("Loss, smoothed", { overlay: true });
  const axis = el("select", { class: "lor-input", "aria-label": "Along the chart", onchange: () => drawLoss() }, el("option", { value: "step" }, "by steps"), el("option", { value: "picture" }, "by pictures seen"));
  const chart = el("div", { hidden: true }, el("div", { class: "lor-row lor-compare-axis" }, axis), loss.node);
  const drawLoss = () => {
    chart.hidden = !told.runs.some((run) => run.loss.steps.length);
    const often = (run) => (axis.value === "picture" ? run.batch : 1);
    const curves = told.runs.map((run) => ({ ...run.loss, name: run.name, steps: run.loss.steps.map((step) => step * often(run)) }));
    loss.show(curves, Math.max(0, ...curves.map((curve) => curve.steps.at(-1) || 0)), axis.value);
  };

  const rows = el("div", { class: "lor-scroll" });
  const all = el("input", { type: "checkbox", onchange: () => drawSettings() });
  const drawSettings = () => {
    const shown = told.settings.filter((row) => row.differs || all.checked);
    L.fill(rows, shown.length ? el("table", { class: "lor-table lor-compared" }, el("thead", {}, el("tr", {}, el("td", {}), heads())), el("tbody", {}, shown.map((row) => el("tr", { class: row.differs ? "differs" : null },
      el("th", { scope: "row" }, row.label, el("code", {}, row.path)), row.values.map((value) => el("td", {}, value || "–"))))))
      : el("p", {}, "No setting differs."));
  };

  const step = el("select", { class: "lor-input", "aria-label": "Samples of", onchange: () => drawSamples() });
  const pictures = el("div", {});
  const offerSteps = () => {
    const counts = new Map();
    for (const row of told.samples) for (const one of new Set(row.steps.flatMap(Object.keys))) if (row.steps.filter((steps) => one in steps).length > 1) counts.set(Number(one), true);
    const value = step.value || LAST;
    L.fill(step, el("option", { value: LAST }, "the last of each"), [...counts.keys()].sort((a, b) => a - b).map((one) => el("option", { value: String(one) }, one === 0 ? "before training" : `step ${one.toLocaleString("en")}`)));
    step.value = [...step.options].some((option) => option.value === value) ? value : LAST;
  };
  const drawSamples = () => {
    const cells = (row) => told.runs.map((run, place) => {
      const at = step.value === LAST ? Math.max(...Object.keys(row.steps[place]).map(Number)) : Number(step.value);
      return at in row.steps[place] ? { run, place, at, source: `/api/runs/${encodeURIComponent(run.id)}/samples/${at}/${row.steps[place][at]}` } : null;
    });
    const cell = (row, one) => el("td", {}, one && [el("button", { type: "button", class: "lor-thumb", "aria-label": `${one.run.name}, step ${one.at}, enlarge`, onclick: () => L.viewBeside(row, cells(row), swatch) },
      el("img", { loading: "lazy", decoding: "async", alt: "", width: 192, height: 192, src: `${one.source}?side=256` })), el("span", { class: "lor-note" }, `step ${one.at.toLocaleString("en")}`)]);
    const shown = told.samples.filter((row) => cells(row).filter(Boolean).length > 1);
    L.fill(pictures, shown.length ? el("div", { class: "lor-samples lor-beside", tabindex: "0", role: "region", "aria-label": "Samples beside each other" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Prompt"), heads())),
      el("tbody", {}, shown.map((row) => el("tr", {}, el("th", { scope: "row" }, row.prompt || "no words", el("span", { class: "lor-note" }, ` seed ${row.seed}`)), cells(row).map((one) => cell(row, one)))))))
      : el("p", {}, "No two of them have drawn the same prompt with the same seed."));
  };
  const samples = el("div", { class: "lor-card" }, el("div", { class: "lor-row" }, el("h3", { class: "grow" }, "Samples of the same prompt and seed"), step), pictures);

  const node = el("div", {}, el("div", { class: "lor-card" }, el("div", { class: "lor-row" }, el("h2", { class: "grow" }, `${ids.length} runs beside each other`), L.button("Back", back)), figures), chart,
    el("div", { class: "lor-card" }, el("div", { class: "lor-row" }, el("h3", { class: "grow" }, "Settings that differ"), el("label", { class: "lor-row tight" }, all, "show all")), rows), samples);
  const refresh = async () => {
    const live = told?.runs.some((run) => run.state === "running");
    if (told && (!live || Date.now() - asked < 5000)) return;
    asked = Date.now();
    const now = await L.attempt(() => L.get(`/api/history/compare?${query}`));
    if (!now) { told ||= { runs: [], settings: [], samples: [] }; return; }
    told = now;
    drawFigures(); drawLoss(); drawSettings(); offerSteps(); drawSamples();
    samples.hidden = told.runs[0].kind !== "train";
  };
  return { node, refresh };
};

// The samples of one prompt, large.
Loratory.viewBeside = (row, cells, swatch) => Loratory.dialog("Samples beside each other", (close, dialog) => {
  const L = Loratory, { el } = L;
  dialog.classList.add("lor-beside-view");
  return [el("p", {}, row.prompt || "no words", el("span", { class: "lor-note" }, ` seed ${row.seed}`)),
    el("div", { class: "lor-beside-pictures" }, cells.filter(Boolean).map((one) => el("figure", {}, el("img", { src: one.source, alt: row.prompt }), el("figcaption", { class: "lor-row tight" }, swatch(one.place), `${one.run.name}, step ${one.at.toLocaleString("en")}`)))),
    el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))];
});
