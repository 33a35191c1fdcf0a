// What the trainer sees of a picture: its exact crop, and its captions as tokens at the steps that will show it.
"use strict";
// L.seen(pictureId) opens the dialog; the id is one that a route has given out.
Loratory.seen = (id) => {
  const L = Loratory, { el } = L;
  return L.dialog("What the trainer sees", (close, dialog) => {
    dialog.classList.add("lor-seen");
    const place = el("div", { role: "status" }, el("p", { class: "lor-note" }, "Looking at the picture as a run would…"));
    const draw = (found) => {
      place.removeAttribute("role");
      L.fill(place, L.seenPixels(id, found), L.seenFacts(found), L.seenTurns(found));
    };
    L.get(`/api/seen/${id}`).then(draw, (error) => L.fill(place, el("p", { class: "lor-problem" }, error.message)));
    return [place, el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))];
  });
};

// The picture with the crop's box over it, and the crop itself.
Loratory.seenPixels = (id, found) => {
  const L = Loratory, { el } = L, [width, height] = found.size, [left, top, right, bottom] = found.box;
  const box = el("span", { class: "lor-seen-box" });
  Object.assign(box.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
    width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
  const frame = el("span", { class: "lor-seen-frame" }, el("img", { src: `/api/pictures/${id}?side=768`, alt: "The whole picture" }), box);
  const crop = el("img", { class: "lor-seen-crop", alt: "The part that is trained, at its size in training", width: found.bucket[0], height: found.bucket[1] });
  let mirrored = false, mask = false;
  const load = () => { crop.src = L.at(`/api/seen/${id}/${mask ? "mask" : "crop"}.png?mirrored=${mirrored}`); };
  const toggle = (label, turn) => {
    const button = L.button(label, () => { button.setAttribute("aria-pressed", String(turn())); load(); }, "quiet", { "aria-pressed": "false" });
    return button;
  };
  load();
  return el("div", { class: "lor-seen-pair" },
    el("figure", {}, frame, el("figcaption", { class: "lor-note" }, `The picture, ${width} × ${height}; ${found.loss > 0.0005 ? "what is dark is cut off" : "all of it is trained"}`)),
    el("figure", {}, crop, el("figcaption", { class: "lor-note" }, `The exact pixels that are trained, ${found.bucket[0]} × ${found.bucket[1]}`),
      el("div", { class: "lor-row" }, found.flips && toggle("Mirrored", () => (mirrored = !mirrored)), found.mask && toggle("Mask", () => (mask = !mask)))));
};

Loratory.seenFacts = (found) => {
  const L = Loratory, { el } = L, percent = (share) => `${(100 * share).toFixed(1)} %`;
  const scaled = found.scale > 1.001 ? `enlarged ${found.scale.toFixed(2)} times` : found.scale < 0.999 ? `made smaller, to ${percent(found.scale)} of its sides` : "at its own size";
  const fact = (name, ...what) => el("div", {}, el("dt", {}, name), el("dd", {}, what));
  const from = found.of === "form" ? "The settings and the data set are those on the LoRA training form." :
    `This picture is in none of the folders on the training form: shown is a run of its settings over ${found.folder}.`;
  return [
    el("dl", { class: "lor-seen-facts" },
      fact("Bucket", `${found.bucket[0]} × ${found.bucket[1]}`), fact("Scale", scaled),
      fact("Cut off", percent(found.loss)), fact("Mirrored", found.flips ? "half of the time" : "never"),
      found.in_run && fact("Shown", `${L.counted(found.times, "time")} in ${found.steps.toLocaleString("en")} steps`),
      found.mask && fact("Mask", found.mask)),
    found.scale > 1.001 && el("p", { class: "lor-warning" }, "The picture is smaller than its bucket, so the model learns the softness of an enlargement."),
    found.mask && el("p", { class: "lor-note" }, "The mask is not used by this trainer: it learns from the whole crop. Other trainers read it."),
    found.undrawn && el("p", { class: "lor-warning" }, "The caption has {this|that} in it, and is trained with the braces: turn on \"Draw from {this|that}\" under Captions on the training form, or choose one."),
    found.reason && el("p", { class: "lor-warning" }, `A run does not show it: ${found.reason}.`),
    found.wrong && el("p", { class: "lor-warning" }, `Something on the training form is not right yet (${found.wrong}); what is right is used here.`),
    el("p", { class: "lor-note" }, from),
  ];
};

// The captions of the first showings, in the order of the run.
Loratory.seenTurns = (found) => {
  const L = Loratory, { el } = L;
  const about = found.exact ? "" : " Tokens are estimated: open_clip, which has CLIP's list of words, isn't installed.";
  const head = found.turns.length
    ? `What it is called the first ${L.counted(found.turns.length, "time")}, as the run with seed ${found.seed} will draw it. Each field is a token; the text encoder sees ${found.limit}.${about}`
    : `Each field is a token; the text encoder sees ${found.limit}.${about}`;
  const lines = found.turns.length ? found.turns : [found.caption];
  return [el("h3", {}, "Captions"), el("p", { class: "lor-help" }, head),
    el("ol", { class: "lor-seen-turns" }, lines.map((turn) => el("li", {},
      turn.step !== undefined && el("span", { class: "lor-note" }, `Step ${turn.step.toLocaleString("en")}, epoch ${turn.epoch}${turn.flip ? ", mirrored" : ""} · ${L.counted(turn.borders.length, "token")}`),
      L.seenTokens(turn, found.limit))))];
};

// A text with the borders of its tokens, {text, borders: [[start, end]], cut}; positions count whole characters.
Loratory.seenTokens = ({ text, borders, cut }, limit) => {
  const L = Loratory, { el } = L, letters = [...text], parts = [];
  if (!borders.length) return el("p", { class: "lor-note" }, "no words at all");
  let last = 0;
  borders.forEach(([start, end], number) => {
    if (number === limit) parts.push(el("span", { class: "lor-seen-cut" }, "not seen from here on"));
    if (start > last) parts.push(letters.slice(last, start).join(""));
    const more = end === start;  // of a letter that is several tokens
    parts.push(el("span", { class: `lor-token${number % 2 ? " odd" : ""}${number >= limit ? " unseen" : ""}${more ? " more" : ""}`, title: more && "the letter before it takes this token, too" }, letters.slice(start, end).join("")));
    last = Math.max(last, end);
  });
  return el("p", { class: "lor-seen-tokens" }, parts);
};
