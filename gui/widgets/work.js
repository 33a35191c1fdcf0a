// Longer work on a data set, wherever a page begins one: how far it is, what it met, a way to stop it.
"use strict";
// L.work(node, {words, done}) -> {begin(kind, values), watch(id)}. `words(report)` are lines under a finished one;
// `done(report)` is called once when it ends while the page looks on, and for one that had ended before.
Loratory.work = (root, { words = () => [], done = () => {} } = {}) => {
  const L = Loratory, { el } = L;
  let id = null, before = "", told = null;
  const place = el("div", { role: "status", "aria-live": "polite" });
  root.append(place);
  const ENDED = { finished: "Done.", stopped: "Stopped.", interrupted: "It was interrupted: the machine or the program was ended." };
  const left = (report) => (report.progress.eta ? `, ${L.duration(report.progress.eta)} left` : "");
  const draw = (report) => {
    const running = report.state === "running" || report.state === "queued", { progress } = report;
    const bar = el("progress", { max: progress.total || 1, value: progress.done || 0, "aria-label": "Progress" });
    if (!progress.total) bar.removeAttribute("value");
    L.fill(place,
      running && el("div", {}, bar, el("div", { class: "lor-row" },
        el("span", { class: "lor-note" }, progress.total ? `${progress.name}: ${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}${left(report)}` : "Starting…"),
        L.button("Stop", () => L.attempt(() => L.post(`/api/work/${id}/stop`)), "quiet"))),
      !running && (report.state === "failed"
        ? el("div", { class: "lor-failed lor-inset", role: "alert" }, el("p", {}, report.end.cause), report.end.fix && el("p", { class: "lor-note" }, report.end.fix))
        : el("p", {}, el("b", {}, ENDED[report.state] || report.state), " ", ...[words(report)].flat())),
      report.warnings.map((text) => el("p", { class: "lor-warning" }, text)),
      report.problems.length > 0 && el("details", { class: "lor-details" },
        el("summary", {}, `${L.counted(report.problems.length + report.more_problems, "thing")} to look at`), L.problemList(report.problems)));
  };
  const turn = L.poll(root, 0.5, async () => {
    if (!id || told === id) return;
    const report = await L.get(`/api/work/${id}`);
    if (report.id !== id) return;
    if (JSON.stringify(report) !== before) draw(report);
    before = JSON.stringify(report);
    if (!["running", "queued"].includes(report.state)) { told = id; done(report); }
  });
  const watch = (other) => { id = other; told = null; before = ""; turn(); };
  return {
    watch,
    clear: () => { id = null; before = ""; L.fill(place); },
    begin: async (kind, values) => { const found = await L.post(`/api/work/begin/${kind}`, values); watch(found.id); return found.id; },
  };
};
