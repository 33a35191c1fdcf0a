// The plan of a run. The part above the Start button: the sum and what is still missing, with links to the fields; the part
// below it: the figures, and what is good to know.
"use strict";
Loratory.plan = (root, { about, props, watch }) => {
  const L = Loratory, { el } = L;
  const label = (path) => L.forms?.[about.form]?.label(path) || path;
  const links = (entries) => el("ul", { class: "lor-list" }, entries.map(([path, text]) => el("li", {},
    label(path) === path ? el("b", {}, path)
      : el("button", { type: "button", class: "lor-link", onclick: () => L.forms[about.form].show(path) }, label(path)), `: ${text}`)));
  const above = ({ plan, problems }) => [
    plan && [el("p", { class: "lor-plan-total" }, el("b", {}, plan.total_steps.toLocaleString("en")), " steps"), el("p", {}, plan.sentence)],
    problems.length > 0 && [el("p", { class: "lor-plan-missing" }, problems.length === 1
      ? "One thing is missing before this can start:" : `${problems.length} things are missing before this can start:`), links(problems)]];
  const below = ({ plan, warnings }) => [
    plan && el("dl", { class: "lor-facts" }, plan.table.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
    warnings.length > 0 && [el("p", { class: "lor-label" }, "Good to know"), links(warnings)]];
  const draw = () => {
    if (!props.value) return L.fill(root, about.part === "above" && el("p", { class: "lor-note" }, "Reading the form…"));
    const state = { plan: props.value.plan, problems: Object.entries(props.value.problems || {}), warnings: Object.entries(props.value.warnings || {}) };
    return L.fill(root, el("div", { class: "lor-plan", role: about.part === "above" ? "status" : null }, (about.part === "above" ? above : below)(state)));
  };
  watch("value", draw);
  draw();
};
