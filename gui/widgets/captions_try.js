// One picture, to try the settings on: what the captioners say of it; of a tagger every tag with its probability, and sliders
// that choose among them. Probabilities are kept, so a slider answers at once, for this picture and for all that were tagged.
"use strict";
Loratory.trial = (root, { about }) => {
  const L = Loratory, { el } = L;
  let pictures = [], at = 0, run = null, tagging = false, moved = {};
  const latestTest = L.latest();
  const image = el("div", { class: "lor-trial-picture" }), place = el("span", { class: "lor-note", role: "status" });
  const said = el("div", { class: "lor-trial-said", role: "status", "aria-live": "polite" });
  const bars = el("div", { class: "lor-tags", role: "list", "aria-label": "Tags of this picture", tabindex: "0" });
  const whole = el("div", { role: "status" });
  const sliders = el("div", { class: "lor-sliders" }), caption = el("div", { role: "status" });
  const test = L.button("Test on this picture", () => begin(), "primary");
  const turn = (by) => { if (pictures.length) { at = (at + by + pictures.length) % pictures.length; run = null; L.fill(said); drawPicture(); refresh(); } };
  const apply = L.button("Apply to all…", () => applyAll(), "primary", { hidden: true });
  const difference = L.button("Show what would change", () => L.captionSend("apply", { dry: true }), "", { hidden: true });
  const tagCard = el("div", { class: "lor-trial-tags", hidden: true }, el("h3", {}, "Tags and thresholds"), sliders, whole, el("div", { class: "lor-row" }, apply, difference), caption, bars);
  const card = el("div", { class: "lor-card", hidden: true, id: "captions-trial" }, el("h2", {}, "Try it on one picture"),
    el("div", { class: "lor-trial" }, el("div", {}, image, el("div", { class: "lor-row" }, L.button("Previous", () => turn(-1), "quiet"), L.button("Next", () => turn(1), "quiet"), place)), el("div", {}, el("div", { class: "lor-row" }, test), said, tagCard)));
  root.append(card);

  const picture = () => pictures[at];
  const begin = () => L.captionSend("test", { picture: picture()?.id || "" });
  L.captionTest = (send) => { card.scrollIntoView({ block: "nearest", behavior: "smooth" }); send(); };
  L.captionPicture = () => picture()?.id;
  // The desk tells which pictures the form means, and whether a tagger is among the captioners.
  L.captionPictures = (found, tags) => {
    const before = picture()?.id, changed = JSON.stringify(found) !== JSON.stringify(pictures);
    pictures = found;
    tagging = tags && about.sliders.length > 0;
    card.hidden = !pictures.length;
    at = Math.max(0, pictures.findIndex((one) => one.id === before));
    if (changed || picture()?.id !== before) drawPicture();
    refresh();
  };
  const drawPicture = () => {
    const one = picture();
    L.fill(image, one && L.thumb(one, () => L.enlarged({ ...one, text: one.caption || "no caption" }), 768));
    place.textContent = one ? `${at + 1} of ${pictures.length} · ${one.name}` : "";
    if (!said.childElementCount && one) L.fill(said, el("p", { class: "lor-label" }, "Its caption now"), el("p", { class: one.caption ? "" : "lor-note" }, one.caption || "none"));
  };
  L.captionTested = async (id) => {
    run = id;
    test.disabled = true;
    L.fill(said, el("p", { class: "lor-note" }, "Asking the captioners…"));
    const wait = async () => {
      for (;;) {
        if (run !== id) return null;
        const now = await L.get(`/api/runs/${encodeURIComponent(id)}`);
        if (["finished", "failed", "stopped", "interrupted"].includes(now.state)) return now;
        if (run === id) L.fill(said, el("p", { class: "lor-note" }, L.captionStatus(now)));
        await new Promise((resolve) => { setTimeout(resolve, 400); });
      }
    };
    const end = await L.attempt(() => latestTest(wait()));
    test.disabled = false;
    if (!end || run !== id) return;
    const base = `/api/captions/${encodeURIComponent(id)}`;
    const lines = (await L.get(`${base}/said?most=1`)).lines, wrong = (await L.get(`${base}/problems`)).lines;
    if (end.end.kind === "failed") L.fill(said, el("div", { class: "lor-failed lor-inset", role: "alert" }, el("p", {}, end.end.cause), el("p", { class: "lor-note" }, end.end.fix)));
    else L.fill(said, lines.map((line) => [el("p", { class: "lor-label" }, "It would be captioned"), el("p", { class: "lor-said" }, line.text), line.before && [el("p", { class: "lor-label" }, "Its caption now"), el("p", { class: "lor-note" }, line.before)]]),
      wrong.map((line) => el("p", { class: "lor-warning" }, `${line.reason}. ${line.fix}.`)), el("p", { class: "lor-note" }, `Nothing was written.${end.end.seconds > 5 ? ` It took ${L.duration(end.end.seconds)}, most of it to load the model.` : ""}`));
    refresh();
  };

  // Sliders show the form's own fields, and write into them.
  const field = (slider) => document.querySelector(`#${CSS.escape(`${about.form}-${about.tagger}-${slider.field}`)} input`);
  const lines = about.sliders.map((slider) => {
    const range = el("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": `${slider.label}`, oninput: () => move() });
    const value = el("output", { class: "lor-slider-value" });
    let telling;
    const move = () => {
      moved[slider.field] = Number(range.value);
      value.textContent = Number(range.value).toFixed(2);
      refresh();
      clearTimeout(telling);
      telling = setTimeout(() => { const input = field(slider); if (input && !input.disabled) L.type(input, range.value); setTimeout(() => { delete moved[slider.field]; }, 1500); }, 300);
    };
    const node = el("label", { class: "lor-slider" }, el("span", {}, slider.label), range, value);
    return { slider, node, show: (used) => { if (slider.field in moved || document.activeElement === range && used === Number(range.value)) return; range.value = used; value.textContent = Number(used).toFixed(2); } };
  });
  L.put(sliders, lines.map((line) => line.node));

  // One question at a time, and always the newest: a slider moves faster than a thousand pictures are looked up.
  let asking = false, again = false;
  const refresh = async () => {
    if (!tagging || !pictures.length) { tagCard.hidden = true; return; }
    again = asking;
    if (asking) return;
    asking = true;
    const found = await L.attempt(() => L.post("/api/thresholds", { values: moved, picture: picture().id }));
    asking = false;
    if (again) { refresh(); return; }
    if (!found) return;
    tagCard.hidden = false;
    const categories = new Set(["general", "character", ...(found.picture?.tags || []).map((tag) => tag[2])]);
    for (const line of lines) { line.show(found.limits[line.slider.category]); line.node.hidden = !found.known || !categories.has(line.slider.category); }
    L.fill(caption, found.picture && [el("p", { class: "lor-label" }, "Its tags"), el("p", { class: "lor-said" }, found.picture.text || "none")]);
    apply.hidden = difference.hidden = !found.known;
    L.fill(whole, found.known ? el("p", {}, el("b", {}, (found.tags / found.known).toFixed(1)), ` tags a picture on average, in ${found.known === found.pictures ? `all ${found.pictures.toLocaleString("en")}` : `the ${found.known.toLocaleString("en")} of ${found.pictures.toLocaleString("en")} that were tagged`}.`,
      found.most.length > 0 && el("span", { class: "lor-note" }, ` Most often: ${found.most.slice(0, 8).map(([name, count]) => `${name} ${count}`).join(", ")}.`))
      : el("p", { class: "lor-note" }, "Test this picture, or caption the folder, and every tag appears here with its probability; the sliders then answer at once."));
    drawBars(found.picture, found.limits);
  };
  const drawBars = (one, limits) => {
    bars.hidden = !one;
    if (!one) { L.fill(bars); return; }
    const scroll = bars.scrollTop;
    L.fill(bars, one.tags.map(([name, score, category, chosen]) => {
      const bar = el("span", { class: "lor-bar" }), mark = el("span", { class: "lor-mark-line" });
      bar.style.width = `${100 * score}%`;
      if (limits[category] < 1) mark.style.left = `${100 * limits[category]}%`; else mark.hidden = true;
      return el("div", { class: `lor-tag${chosen ? " chosen" : ""}`, role: "listitem", "aria-label": `${name}: ${score.toFixed(2)}, ${chosen ? "in the caption" : "left out"}` },
        el("span", { class: "lor-tag-name" }, name), el("span", { class: "lor-note" }, category), el("span", { class: "lor-bar-track" }, bar, mark), el("span", { class: "lor-tag-score" }, score.toFixed(2)));
    }));
    bars.scrollTop = scroll;
  };
  const applyAll = async () => {
    if (await L.confirm("Write these tags into all captions?", "The captions of these pictures are replaced by what the form's settings give now. It can be undone, here or under “What was done before”.", "Replace captions")) L.captionSend("apply");
  };
  const changed = L.captionsChanged;
  L.captionsChanged = () => { changed?.(); refresh(); };
  if (L.captionMeant) L.captionPictures(...L.captionMeant);
};
