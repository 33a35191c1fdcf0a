// The doctor's page: examine the open folder, what was found, most serious first, and what was done about it.
"use strict";
Loratory.doctor = (root) => {
  const L = Loratory, { el } = L;
  let shown = null, families = {}, train = null;
  const newest = L.latest();
  const where = el("p", { class: "lor-note lor-path" });
  const family = el("select", { class: "lor-input", id: "doctor-family", onchange: () => hint(null) });
  const resolution = el("input", { class: "lor-input short", id: "doctor-resolution", type: "number", min: 64, max: 8192, step: 64, oninput: () => compare() });
  const tokens = el("select", { class: "lor-input short", id: "doctor-tokens", onchange: () => compare() });
  const trigger = el("input", { class: "lor-input", id: "doctor-trigger", type: "text", spellcheck: "false", placeholder: "none", oninput: () => compare() });
  const following = el("p", { class: "lor-note", id: "doctor-train", role: "status" });
  const begin = L.button("Examine", () => examine(), "primary", { id: "doctor-examine" });
  const problem = el("p", { class: "lor-problem", role: "alert", hidden: true });
  const form = el("div", { class: "lor-doctor-form", hidden: true },
    el("label", {}, el("span", { class: "lor-label" }, "To train"), family), el("label", {}, el("span", { class: "lor-label" }, "Resolution"), resolution),
    el("label", {}, el("span", { class: "lor-label" }, "Tokens read"), tokens),
    el("label", {}, el("span", { class: "lor-label" }, "Trigger word"), trigger), begin);
  const none = el("p", { hidden: true }, "No folder is open yet. ", el("button", { type: "button", class: "lor-link", onclick: () => L.openPage("pictures") }, "Open one under Pictures"), ".");
  const going = el("div", {}), done = el("div", { role: "status" }), summary = el("div", {}), list = el("div", { class: "lor-findings" });
  const models = L.doctorModels(() => (shown ? again() : examine()));
  const card = el("div", { class: "lor-card" }, el("h2", {}, "Data set doctor"),
    el("p", { class: "lor-help" }, "Looks for what is wrong with the pictures and captions, and says what it does to training. Looking changes nothing; whatever you have mended can be taken back."),
    where, none, form, following, problem, going, models);
  // What is usual for the family stands in the fields; null stands for it.
  const hint = (read) => {
    const usual = families[family.value];
    resolution.placeholder = String(usual?.resolution || "");
    L.fill(tokens, usual?.lengths.map((length) => el("option", { value: length === usual.tokens ? "" : length }, `${length} (${usual.encoder})`)));
    tokens.value = usual?.lengths.includes(read) && read !== usual.tokens ? read : "";
    compare();
  };
  const values = () => ({ family: family.value, resolution: resolution.value ? Number(resolution.value) : null, tokens: tokens.value ? Number(tokens.value) : null, trigger: trigger.value });
  const put = (form) => { family.value = form.family; resolution.value = form.resolution ?? ""; trigger.value = form.trigger; hint(form.tokens); };
  // The training form is what it begins with; what is chosen here instead is said, with a way back.
  const same = () => Object.entries(values()).every(([name, value]) => value === train[name]);
  const compare = () => {
    if (!train) return;
    const usual = families[train.family];
    L.fill(following, same() ? "As in LoRA training." : [`LoRA training says ${usual.label}, ${train.resolution ?? usual.resolution} px, ${train.tokens ?? usual.tokens} tokens, ${train.trigger ? `trigger word ${train.trigger}` : "no trigger word"}. `,
      el("button", { type: "button", class: "lor-link", onclick: () => put(train) }, "Use that")]);
  };

  const work = L.work(going, {
    words: (report) => (report.end.findings === undefined ? "" : `${L.counted(report.end.pictures, "picture")}, ${report.end.findings ? L.counted(report.end.findings, "finding") : "nothing wrong was found"}.`),
    done: (report) => {
      begin.disabled = false;
      if (report.state !== "finished") { after.refresh(); return; }
      L.attempt(() => look(report.id));
      if (report.end.fixed === undefined) return;
      mended(report.end);
      L.captionsChanged?.();
    },
  });
  const follow = (id) => { begin.disabled = true; work.watch(id); };
  const attempt = async (task) => {
    problem.hidden = true;
    try { return await task(); } catch (error) {
      problem.hidden = false;
      problem.textContent = error.body?.problems ? Object.entries(error.body.problems).map(([name, text]) => `${name === "folder" ? "" : `${name}: `}${text}`).join(". ") : error.message;
      return undefined;
    }
  };
  const examine = () => attempt(async () => {
    L.fill(done);
    follow((await L.post("/api/examine", values())).id);
  });
  const again = () => (shown ? attempt(async () => follow((await L.post(`/api/examine/${shown.id}/again`)).id)) : after.refresh());
  const mended = (end) => L.fill(done, el("div", { class: "lor-card lor-report done lor-row" },
    el("span", { class: "grow" }, el("b", {}, `${end.label}.`), ` ${L.counted(end.fixed, "file")} changed${end.kept ? `, ${end.kept} left as they were` : ""}.`),
    end.deed && L.button("Undo", () => after.step(end.deed, "undo"))));

  const after = L.doctorAfter({ changed: () => { L.fill(done); again(); L.captionsChanged?.(); } });
  const page = { folded: new Map(), examination: () => shown, follow, redraw: (found) => draw(found), attempt };

  const look = async (id) => { draw(await newest(L.get(`/api/examine/${id}`))); };
  const draw = (found) => {
    shown = found;
    const serious = found.findings.filter((one) => one.severity === "serious").length;
    L.fill(summary, el("div", { class: "lor-card" }, el("div", { class: "lor-facts-row" },
      fact(found.pictures === 1 ? "picture" : "pictures", found.pictures), fact(found.findings.length === 1 ? "finding" : "findings", found.findings.length), fact("serious", serious),
      fact("cut off on average", `${(100 * found.mean_crop_loss).toFixed(1)} %`)),
    el("p", { class: "lor-note" }, `Examined ${L.when(found.time)} for ${found.resolution} px${found.reads && `, captions read by ${found.reads}`}${found.trigger ? `, trigger word ${found.trigger}` : ""}.`),
    el("div", { class: "lor-row" }, save("Report to keep", "report"), save("Sums of all files", "sums"))),
    found.buckets.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, `${L.counted(found.buckets.length, "bucket")} at ${found.resolution} px`), L.bucketTable(found.buckets)));
    L.fill(list, !found.findings.length && el("div", { class: "lor-card lor-nothing" }, el("h3", {}, "Nothing wrong was found."), el("p", {}, found.fine.length ? "Some things you have found to be fine; they are listed below." : "The folder can be trained on as it is.")),
      found.findings.map((one) => L.finding(one, page)),
      found.fine.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, `You found ${L.counted(found.fine.length, "thing")} to be fine`), found.fine.map((one) => L.findingFine(one, page))));
    after.refresh();
  };
  const fact = (name, value) => el("div", { class: "lor-fact" }, el("b", {}, typeof value === "number" ? value.toLocaleString("en") : value), el("span", {}, name));
  const save = (label, what) => el("a", { class: "lor-button", href: `/api/examine/${shown.id}/${what}`, download: true }, label);

  // What is typed stays; what follows the training form follows it on.
  const begun = (state) => {
    const first = !family.options.length, followed = !first && train && same();
    if (first) L.fill(family, Object.entries(families).map(([name, one]) => el("option", { value: name }, one.label)));
    train = state.train;
    if (first || followed) put(followed ? train : state.form); else compare();
  };
  const load = async () => {
    const state = await newest(L.get("/api/examine"));
    families = state.families;
    where.textContent = state.folder;
    none.hidden = Boolean(state.folder);
    form.hidden = following.hidden = models.hidden = !state.folder;
    begun(state);
    problem.hidden = true;
    if (shown && shown.id !== state.examined) { shown = null; L.fill(summary); L.fill(list); L.fill(done); work.clear(); }
    if (state.examined) await look(state.examined); else after.refresh();
    if (state.running) follow(state.running); else begin.disabled = false;
  };
  L.put(root, card, done, summary, list, after.node);
  L.attempt(load);
  new IntersectionObserver(([page]) => { if (page.isIntersecting && train) L.get("/api/examine").then(begun, () => {}); }).observe(card);  // Train may have been changed meanwhile
  document.addEventListener("lor-opened", () => { work.clear(); L.fill(done); L.attempt(load); });  // another folder's work goes on unwatched
};

Loratory.bucketTable = (buckets) => {
  const { el } = Loratory;
  return el("table", { class: "lor-table" }, el("thead", {}, el("tr", {}, ["Width × height", "Pictures", "With repeats", "Cut off", "Too small"].map((head) => el("th", {}, head)))),
    el("tbody", {}, buckets.map((one) => el("tr", {}, [`${one.size[0]} × ${one.size[1]}`, one.pictures.toLocaleString("en"), one.repeated.toLocaleString("en"), `${(100 * one.crop_loss).toFixed(1)} %`,
      one.small ? `${one.small.toLocaleString("en")}, up to ${one.enlarge.toFixed(2)} ×` : "none"].map((cell) => el("td", {}, cell))))));
};
