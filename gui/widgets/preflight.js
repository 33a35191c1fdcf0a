// The check before a training is queued: how far it is, and what came of it; also of one that an earlier page began.
"use strict";
Loratory.preflight = (root, { props, watch }) => {
  const L = Loratory, { el } = L;
  const place = el("div", { class: "lor-preflight" });
  root.append(place);
  let mine = null;
  const work = L.work(place, {
    words: (report) => [report.state === "finished" && [report.end.sentence, " It is in the queue. ", L.button("Open the run", () => L.openRun(report.end.run), "quiet")],
      report.state === "stopped" && "Nothing was queued."],
    done: (report) => { if (report.id === mine && report.state === "finished") L.toast("The check has passed; the run is in the queue."); },
  });
  watch("value", () => { if (props.value?.work) { mine = props.value.work; work.watch(mine); } });
  L.attempt(async () => {
    const { id } = await L.get("/api/work/newest/preflight");
    if (!id || mine) return;
    const { state } = await L.get(`/api/work/${id}`);
    if (["running", "queued"].includes(state) && !mine) work.watch(id);
  });
};
