// The doctor's checks that need a model: a CLIP compares pictures with captions, then the folder is examined anew.
"use strict";
// L.doctorModels(done) -> an element; `done()` is called once pictures and captions have been compared.
Loratory.doctorModels = (done) => {
  const L = Loratory, { el } = L;
  const model = el("input", { class: "lor-input", id: "doctor-clip-model", type: "text", list: "doctor-clip-models", spellcheck: "false" });
  const list = el("datalist", { id: "doctor-clip-models" });
  const problem = el("p", { class: "lor-problem", role: "alert", hidden: true });
  const begin = L.button("Compare pictures with captions (CLIP)", () => start(false), "", { id: "doctor-clip" });
  const going = el("div", { class: "lor-doctor-clip" });
  let models = [], mine = false;
  const work = L.work(going, {
    words: (report) => `${L.counted(report.end.pictures || 0, "picture")} and ${L.counted(report.end.captions || 0, "caption")} compared by ${report.end.model}.`,
    done: (report) => {
      begin.disabled = false;
      if (report.state === "finished" && mine) done();
      mine = false;
    },
  });
  const follow = (id) => { mine = true; begin.disabled = true; work.watch(id); };
  const start = async (download) => {
    problem.hidden = true;
    try {
      const begun = await L.post("/api/doctor-models", { model: model.value.trim(), download });
      if (begun.id) follow(begun.id);
      else if (await agreed(begun.download)) await start(true);
    } catch (error) {
      problem.hidden = false;
      problem.textContent = Object.values(error.body?.problems || {}).join(". ") || error.message;
    }
  };
  const agreed = (what) => L.dialog("Download this model?", (close) => [el("p", {}, `${what}. It comes from huggingface.co, once, and stays on this machine.`),
    el("div", { class: "lor-row end" }, L.button("Cancel", () => close(false)), L.button("Download", () => close(true), "primary", { autofocus: true }))]);
  const load = async () => {
    const state = await L.get("/api/doctor-models");
    models = state.models;
    L.fill(list, models.map((one) => el("option", { value: one.model }, `${one.about}${one.here ? "" : `, to download: ${one.size}, ${one.licence}`}`)));
    model.value = state.chosen;
    if (state.running) follow(state.running);
  };
  L.attempt(load);
  return el("details", { class: "lor-details" }, el("summary", {}, "Compare pictures with captions by a model"),
    el("p", { class: "lor-help" }, "A CLIP says how well each caption fits its picture: captions that were swapped come first, then pictures that don't belong and pairs that show the same. It looks at each picture once; what it saw is kept. Watermarks and text are found where a tagger has seen the pictures."),
    el("label", { class: "lor-label", for: "doctor-clip-model" }, "Model"), el("div", { class: "lor-row" }, model, list, begin), problem, going);
};
