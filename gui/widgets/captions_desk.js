// Beside the captions form: which pictures and models are meant, what is missing, and the buttons that begin.
"use strict";
Loratory.desk = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const form = () => L.forms?.[about.form];
  const send = (what, more = {}) => trigger("choose", { what, ...more });
  const summary = el("div", { role: "status" }), models = el("div", { class: "lor-models" }), missing = el("div", {}), known = el("div", {});
  const start = L.button("Caption", () => send("start"), "primary wide", { id: "captions-start" });
  const test = L.button("Test on one picture", () => L.captionTest ? L.captionTest(() => send("test", { picture: L.captionPicture?.() || "" })) : send("test"));
  const look = L.button("Show what would change", () => send("look"));
  const print = L.button("Show command", () => send("command"), "quiet");
  L.put(root, summary, models, start, el("div", { class: "lor-row lor-fill" }, test, look), missing, known, el("div", { class: "lor-row" }, print));
  L.captionSend = send;

  const WHAT = {
    missing: (p) => (p.captioned === p.count ? ["All of them have a caption already. ", link("write.mode", "Choose another mode"), " to add to them or to replace them."]
      : p.captioned ? `${L.counted(p.count - p.captioned, "picture")} without a caption get${p.count - p.captioned === 1 ? "s" : ""} one; the other ${p.captioned.toLocaleString("en")} stay as they are.` : "None of them has a caption yet."),
    append: (p) => `New words are added after what is there; ${p.captioned.toLocaleString("en")} have a caption.`,
    prepend: (p) => `New words are put before what is there; ${p.captioned.toLocaleString("en")} have a caption.`,
    overwrite: (p) => (p.captioned ? `${L.counted(p.captioned, "caption")} ${p.captioned === 1 ? "is" : "are"} replaced. It can be undone.` : "None of them has a caption yet."),
  };
  const link = (path, text) => el("button", { type: "button", class: "lor-link", onclick: () => form()?.show(path) }, text);
  const links = (entries) => el("ul", { class: "lor-list" }, entries.map(([path, text]) => el("li", {},
    form() && form().label(path) !== path ? link(path, form().label(path)) : el("b", {}, path), `: ${text}`)));

  const model = (line, one) => {
    const size = one.bytes ? L.bytes(one.bytes) : "size not listed here", licence = one.licence ? `licence ${one.licence}` : "licence not listed here";
    const state = one.here ? { toy: "Comes with Loratory.", folder: "On this machine.", cache: "On this machine, in the hub's cache." }[one.where]
      : `${one.part ? "Downloaded in part" : "Not on this machine"}: ${size}, ${licence}, from huggingface.co. You are asked first.`;
    return el("div", { class: "lor-model" }, el("p", { class: "lor-path" }, one.model), el("p", { class: `lor-note${one.here ? " good" : ""}` }, state, one.here && one.licence ? ` ${size}, ${licence}.` : ""));
  };
  const chooser = (line, now) => {
    if (!line.known.length) return false;
    const field = () => document.querySelector(`#${CSS.escape(`${about.form}-${line.name}-model`)} :is(input, textarea)`);
    const select = el("select", { class: "lor-input", "aria-label": `Known models for ${line.label}`, onchange: () => { if (select.value && field()) L.type(field(), select.value); } },
      el("option", { value: "" }, "Another model…"), line.known.map((one) => el("option", { value: one.model }, [one.model, one.about, one.bytes ? L.bytes(one.bytes) : ""].filter(Boolean).join(" · "))));
    return line.known.some((one) => one.model !== now) && select;
  };
  const captioner = (line) => el("div", { class: "lor-captioner" }, el("b", {}, line.label),
    (line.models || []).map((one) => model(line, one)), line.host && el("p", { class: "lor-warning" }, `Every picture is sent to ${line.host}.${line.asks ? " You are asked first." : ""}`),
    line.problem && el("p", { class: "lor-warning" }, line.problem), line.packages.map((text) => el("p", { class: "lor-warning lor-path" }, text)), chooser(line, line.models?.[0]?.model));

  let modelsShown = "";
  const draw = () => {
    const state = props.value;
    if (!state) { L.fill(summary, el("p", { class: "lor-note" }, "Reading the form…")); return; }
    const pictures = state.pictures, problems = Object.entries(state.problems || {}), warnings = Object.entries(state.warnings || {});
    const todo = pictures ? (state.mode === "missing" ? pictures.count - pictures.captioned : pictures.count) : 0;
    L.fill(summary, pictures ? [el("p", { class: "lor-plan-total" }, el("b", {}, pictures.count.toLocaleString("en")), pictures.count === 1 ? " picture" : " pictures"), el("p", {}, WHAT[state.mode](pictures))]
      : el("p", { class: "lor-note" }, "Choose a folder and who describes its pictures."));
    start.textContent = !pictures ? "Caption" : todo ? `Caption ${L.counted(todo, "picture")}` : "Nothing to caption";
    start.disabled = Boolean(pictures) && !todo;
    test.disabled = look.disabled = !pictures;
    L.fill(missing, problems.length > 0 && [el("p", { class: "lor-plan-missing" }, problems.length === 1 ? "One thing is missing before this can start:" : `${problems.length} things are missing before this can start:`), links(problems)]);
    L.fill(known, warnings.length > 0 && [el("p", { class: "lor-label" }, "Good to know"), links(warnings)]);
    if (modelsShown !== JSON.stringify(state.models)) { modelsShown = JSON.stringify(state.models); L.fill(models, state.models.map(captioner)); }
    L.captionMeant = [pictures?.first || [], state.models.some((line) => line.name === about.tagger)];
    L.captionPictures?.(...L.captionMeant);
    if (state.ask && asked !== state.ask.at) { asked = state.ask.at; question(state.ask); }
  };
  let asked = 0;
  const question = async ({ questions, wish }) => {
    const downloads = questions.filter((one) => one.kind === "download"), hosts = questions.filter((one) => one.kind === "host");
    const title = downloads.length ? `Download ${downloads.length === 1 ? "this model" : "these models"}?` : "Send the pictures to this server?";
    const agreed = await L.dialog(title, (close) => [
      downloads.map((one) => el("p", {}, el("b", { class: "lor-path" }, one.model), el("br"), `${one.bytes ? L.bytes(one.bytes) : "of unknown size"} from huggingface.co for ${one.label}; licence: ${one.licence || "not known, look at its page there"}.`)),
      hosts.map((one) => el("p", {}, `${one.label} sends every picture to `, el("b", { class: "lor-path" }, one.id), ".")),
      el("div", { class: "lor-row end" }, L.button("Cancel", () => close(false)), L.button(downloads.length ? "Agree and download" : "Agree and send", () => close(true), "primary", { autofocus: true }))]);
    if (agreed) send(wish.what, { ...wish, agreed: [...(wish.agreed || []), ...questions.map((one) => one.id)] });
  };
  const changed = L.captionsChanged;
  L.captionsChanged = () => { changed?.(); trigger("keep"); };
  watch("value", draw);
  draw();
};
