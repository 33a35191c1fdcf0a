// What the trainer sees of a picture: its exact crops, and its captions as tokens at the steps that will show it.
"use strict";
// L.seen(pictureId) opens the dialog; the id is one that a route has given out.
Loratory.seen = (id) => {
  const L = Loratory, { el } = L;
  return L.dialog("What the trainer sees", (close, dialog) => {
    dialog.classList.add("lor-seen");
    const place = el("div", { role: "status" }, el("p", { class: "lor-note" }, "Looking at the picture as a run would…"));
    const draw = (found) => {
      place.removeAttribute("role");
      const pixels = L.seenPixels(id, found);
      L.fill(place, pixels.root, L.seenFacts(found), L.seenTurns(found, pixels.show));
    };
    L.get(`/api/seen/${id}`).then(draw, (error) => L.fill(place, el("p", { class: "lor-problem" }, error.message)));
    return [place, el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))];
  });
};

// The picture with the crop's box over it, and the crop itself. `show(number)` shows those of a showing, counted from 0.
Loratory.seenPixels = (id, found) => {
  const L = Loratory, { el } = L, [width, height] = found.size;
  const box = el("span", { class: "lor-seen-box" }), [kept, about] = [0, 1].map(() => el("figcaption", { class: "lor-note" }));
  const frame = el("span", { class: "lor-seen-frame" }, el("img", { src: `/api/pictures/${id}?side=768`, alt: "The whole picture" }), box);
  const crop = el("img", { class: "lor-seen-crop", alt: "The part that is trained, at its size in training" });
  let mirrored = false, mask = false, turn = null;
  const load = () => {
    const look = turn === null ? found : found.turns[turn], [left, top, right, bottom] = look.box, [w, h] = look.bucket;
    Object.assign(box.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
      width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
    Object.assign(crop, { width: w, height: h });
    crop.src = L.at(`/api/seen/${id}/${mask ? "mask" : "crop"}.png?mirrored=${mirrored}${turn === null ? "" : `&turn=${turn}`}`);
    kept.textContent = `The picture, ${width} × ${height}; ${look.loss > 0.0005 ? "what is dark is cut off" : "all of it is trained"}`;
    about.textContent = `The exact pixels that are trained${turn === null ? "" : ` in step ${look.step.toLocaleString("en")}`}, ${w} × ${h}${look.colour ? `: ${look.colour}` : ""}`;
  };
  const toggle = (label, flip) => L.button(label, (event) => { event.currentTarget.setAttribute("aria-pressed", String(flip())); load(); }, "quiet", { "aria-pressed": "false" });
  const mirror = found.flips && toggle("Mirrored", () => (mirrored = !mirrored));
  const show = (number) => {
    [turn, mirrored] = [number, found.turns[number].flip];
    if (mirror) mirror.setAttribute("aria-pressed", String(mirrored));
    load();
  };
  if (L.seenVaries(found)) show(0); else load();
  const root = el("div", { class: "lor-seen-pair" },
    el("figure", {}, frame, kept),
    el("figure", {}, crop, about, el("div", { class: "lor-row" }, mirror, found.mask && toggle("Mask", () => (mask = !mask)))));
  return { root, show };
};

// Whether its showings differ in more than their words and their side.
Loratory.seenVaries = (found) => found.turns.length > 0 && (found.sizes.length > 1 || found.crop === "random" || found.jitter > 0);

Loratory.seenFacts = (found) => {
  const L = Loratory, { el } = L, percent = (share) => `${(100 * share).toFixed(1)} %`;
  const scaled = ({ scale }) => (scale > 1.001 ? `enlarged ${scale.toFixed(2)} times` : scale < 0.999 ? `made smaller, to ${percent(scale)} of its sides` : "at its own size");
  // Of each of its sizes, where a showing of it is told.
  const several = (what) => found.sizes.map((size) => (String(size) === String(found.bucket) ? found : found.turns.find((turn) => String(turn.bucket) === String(size)))).filter(Boolean).map(what).join(", ");
  const fact = (name, ...what) => el("div", {}, el("dt", {}, name), el("dd", {}, what));
  const from = found.of === "form" ? "The settings and the data set are those on the LoRA training form." :
    `This picture is in none of the folders on the training form: shown is a run of its settings over ${found.folder}.`;
  return [
    el("dl", { class: "lor-seen-facts" },
      fact(found.sizes.length > 1 ? "Buckets" : "Bucket", found.sizes.map(([width, height]) => `${width} × ${height}`).join(", ")), fact("Scale", several(scaled)),
      fact("Cut off", `${several((one) => percent(one.loss))}${{ random: ", anywhere", focus: ", around what matters" }[found.crop] || ""}`), found.jitter > 0 && fact("Colours", "changed a little each time"), fact("Mirrored", found.flips ? "half of the time" : "never"),
      found.in_run && fact("Shown", `${L.counted(found.times, "time")} in ${found.steps.toLocaleString("en")} steps`),
      found.mask && fact("Mask", found.mask)),
    found.scale > 1.001 && el("p", { class: "lor-warning" }, "The picture is smaller than its bucket, so the model learns the softness of an enlargement."),
    found.mask && el("p", { class: "lor-note" }, found.masked ? "Only what is white in the mask is learnt." : "The mask is not used: masked loss is off on the training form."),
    found.undrawn && el("p", { class: "lor-warning" }, "The caption has {this|that} in it, and is trained with the braces: turn on \"Draw from {this|that}\" under Captions on the training form, or choose one."),
    found.reason && el("p", { class: "lor-warning" }, `A run does not show it: ${found.reason}.`),
    found.wrong && el("p", { class: "lor-warning" }, `Something on the training form is not right yet (${found.wrong}); what is right is used here.`),
    el("p", { class: "lor-note" }, from),
  ];
};

// The captions of the first showings, in the order of the run.
Loratory.seenTurns = (found, show) => {
  const L = Loratory, { el } = L, varies = L.seenVaries(found);
  const about = found.exact ? "" : " Tokens are estimated: open_clip, which has CLIP's list of words, isn't installed.";
  const head = found.turns.length
    ? `What it is called the first ${L.counted(found.turns.length, "time")}, as the run with seed ${found.seed} will draw it. Each field is a token; the text encoder sees ${found.limit}.${about}`
    : `Each field is a token; the text encoder sees ${found.limit}.${about}`;
  const lines = found.turns.length ? found.turns : [found.caption];
  const size = (turn) => (found.sizes.length > 1 ? `, ${turn.bucket[0]} × ${turn.bucket[1]}` : "");
  return [el("h3", {}, "Captions"), el("p", { class: "lor-help" }, head),
    el("ol", { class: "lor-seen-turns" }, lines.map((turn, number) => el("li", {},
      turn.step !== undefined && el("span", { class: "lor-note" }, `Step ${turn.step.toLocaleString("en")}, epoch ${turn.epoch}${size(turn)}${turn.flip ? ", mirrored" : ""} · ${L.counted(turn.borders.length, "token")} `,
        varies && L.button("Show its pixels", () => { show(number); document.querySelector(".lor-seen-pair").scrollIntoView({ block: "nearest" }); },
          "quiet", { "aria-label": `Show the pixels of step ${turn.step}` })),
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
    const more = end === start;  // of a letter or a new word that is several tokens
    parts.push(el("span", { class: `lor-token${number % 2 ? " odd" : ""}${number >= limit ? " unseen" : ""}${more ? " more" : ""}`, title: more && "what is before it takes this token, too" }, letters.slice(start, end).join("")));
    last = Math.max(last, end);
  });
  return el("p", { class: "lor-seen-tokens" }, parts);
};
