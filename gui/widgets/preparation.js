// What will be copied, how far the copying is, and what came of it.
"use strict";
Loratory.preparation = (root, { watch }) => {
  const L = Loratory, { el } = L;
  const place = el("div", { role: "status", "aria-live": "polite" });
  let last = "";
  root.append(place);
  const look = async () => {
    const report = await L.get("/api/preparation");
    if (JSON.stringify(report) === last) return;
    last = JSON.stringify(report);
    draw(report);
  };
  const draw = (report) => {
    if (report.state === "none") return L.fill(place);
    const words = { preview: "This is what will happen. Nothing has been written yet.", copying: `Copying ${report.done} of ${report.total} files…`,
      done: "Done. Now press “Copy info to respective fields”.", failed: report.message };
    const named = report.copies.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, report.copied > report.copies.length ? `The first ${report.copies.length} of ${report.copied} files` : `${report.copied} file${report.copied === 1 ? "" : "s"}`),
      el("table", { class: "lor-table" }, el("thead", {}, el("tr", {}, el("th", {}, "From"), el("th", {}, "To"))),
        el("tbody", {}, report.copies.map(([from, to]) => el("tr", {}, el("td", { class: "lor-path" }, from), el("td", { class: "lor-path" }, to))))));
    return L.fill(place, el("div", { class: `lor-card lor-report ${report.state}` },
      el("p", {}, el("b", {}, words[report.state])), report.state === "copying" && el("progress", { value: report.done, max: report.total || 1 }),
      el("p", {}, report.sentence), el("p", { class: "lor-note lor-path" }, report.destination),
      report.problems.length > 0 && L.problemList(report.problems), named));
  };
  const turn = L.poll(root, 1, look);
  watch("value", () => turn());
};
