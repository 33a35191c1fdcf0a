// The plan of a run: the sum in words, a table, and what is still missing, each with a link to its field.
"use strict";
Loratory.plan = (root, { about, props, watch }) => {
  const L = Loratory, { el } = L;
  const links = (entries, kind) => entries.length > 0 && el("ul", { class: `lor-list ${kind}` }, entries.map(([path, text]) => el("li", {},
    L.forms?.[about.form] && L.forms[about.form].label(path) !== path
      ? el("button", { type: "button", class: "lor-link", onclick: () => L.forms[about.form].show(path) }, L.forms[about.form].label(path))
      : el("b", {}, path), `: ${text}`)));
  const draw = () => {
    const state = props.value;
    if (!state) return L.fill(root, el("p", { class: "lor-note" }, "Reading the form…"));
    const problems = Object.entries(state.problems || {}), warnings = Object.entries(state.warnings || {});
    const plan = state.plan;
    return L.fill(root,
      plan && [
        el("p", { class: "lor-plan-total" }, el("b", {}, plan.total_steps.toLocaleString("en")), " steps"),
        el("p", { class: "lor-plan-sentence" }, plan.sentence),
        el("dl", { class: "lor-facts" }, plan.table.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
      ],
      problems.length > 0 && [el("p", { class: "lor-plan-missing" },
        problems.length === 1 ? "One thing is missing before this can start:" : `${problems.length} things are missing before this can start:`),
      links(problems, "problems")],
      warnings.length > 0 && [el("p", { class: "lor-label" }, "Good to know"), links(warnings, "warnings")]);
  };
  watch("value", draw);
  draw();
};
