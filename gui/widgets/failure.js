// Why a run failed, what to do about it, settings that would mend it at one press, and a report that can be shown to others.
"use strict";
Loratory.failure = (base, load) => {
  const L = Loratory, { el } = L;
  const node = el("div", {});
  const copy = async () => {
    const report = await L.attempt(() => L.get(`${base}/trouble`));
    if (report) L.copy(report.text);
  };
  const remedies = (fixes) => fixes.length > 0 && [el("h3", {}, "Settings that would help"), el("ul", { class: "lor-list" }, fixes.map((fix, index) =>
    el("li", {}, el("span", {}, `${fix.says[0].toUpperCase()}${fix.says.slice(1)}`), " ",
      L.button("Put on the form", () => load(index), "", { "aria-label": `Put on the form: ${fix.says}` }))))];
  const card = (end, fixes) => el("div", { class: "lor-card lor-failed", role: "alert" },
    el("h3", {}, "What went wrong"), el("p", {}, end.cause || "It ended without saying why."),
    end.fix && [el("h3", {}, "What to do"), el("p", {}, end.fix)], remedies(fixes),
    end.traceback && el("details", {}, el("summary", {}, "Details for a bug report"), el("pre", { class: "lor-log", tabindex: "0" }, end.traceback)),
    el("div", { class: "lor-row" }, L.button("Copy report", copy, "", { title: "Cause, versions, changed settings and the end of the log; without tokens" })));
  const draw = async (end) => {
    if (end.kind !== "failed") return L.fill(node);
    L.fill(node, card(end, []));
    const fixes = await L.attempt(() => L.get(`${base}/fixes`));
    if (fixes?.length) L.fill(node, card(end, fixes));
  };
  return { node, draw };
};
