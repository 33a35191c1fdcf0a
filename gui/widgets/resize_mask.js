// A mask painted over a picture: bright is learnt, dark is not. Painted at up to 1024 pixels; saved at the picture's own size.
"use strict";
Loratory.maskEditor = (one) => Loratory.dialog(`Mask of ${one.name}`, (close, dialog) => {
  const L = Loratory, { el } = L;
  const SIDE = 1024, STEPS = 30;
  dialog.classList.add("lor-crop-editor");
  const scale = Math.min(1, SIDE / Math.max(one.width, one.height));
  const width = Math.max(1, Math.round(one.width * scale)), height = Math.max(1, Math.round(one.height * scale));
  const image = el("img", { alt: "", draggable: "false", src: `/api/pictures/${one.id}?side=768` });
  const canvas = el("canvas", { width, height, tabindex: "0", role: "img", "aria-label": "Mask; paint with the mouse. B paints, E erases, square brackets change the brush" });
  const stage = el("div", { class: "lor-crop-stage painting" }, image, canvas);
  stage.style.aspectRatio = `${one.width} / ${one.height}`;
  stage.style.setProperty("--shape", one.width / one.height);
  // What is painted: opaque where it is not learnt. The page shows it half seen through, by its style sheet.
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let tool = "erase", hold = null, undone = [], done = [], painted = false, saving = false;
  const size = el("input", { type: "range", min: 1, max: 50, value: 8, "aria-label": "Brush size" });
  const said = el("p", { class: "lor-note", role: "status" }, "");
  const undo = L.button("Undo", () => step(done, undone), "quiet", { disabled: true }), redo = L.button("Redo", () => step(undone, done), "quiet", { disabled: true });
  const TOOLS = { paint: "Learn", erase: "Leave out", box: "Box to learn" };
  const tools = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "Tool" }, Object.entries(TOOLS).map(([name, label]) => el("label", {},
    el("input", { type: "radio", name: "mask-tool", value: name, checked: name === tool, onchange: () => { tool = name; } }), el("span", {}, label))));
  const choose = (name) => { tool = name; for (const radio of tools.querySelectorAll("input")) radio.checked = radio.value === name; };

  const now = () => pen.getImageData(0, 0, width, height);
  const remember = () => { done.push(now()); if (done.length > STEPS) done.shift(); undone = []; painted = true; buttons(); };
  const buttons = () => { undo.disabled = !done.length; redo.disabled = !undone.length; };
  const step = (from, to) => { if (!from.length) return; to.push(now()); pen.putImageData(from.pop(), 0, 0); buttons(); };
  const whole = (dark) => { remember(); pen.globalCompositeOperation = dark ? "source-over" : "destination-out"; pen.fillStyle = "#000"; pen.fillRect(0, 0, width, height); };
  const invert = () => {
    remember();
    const data = now();
    for (let i = 3; i < data.data.length; i += 4) { data.data[i - 3] = data.data[i - 2] = data.data[i - 1] = 0; data.data[i] = 255 - data.data[i]; }
    pen.putImageData(data, 0, 0);
  };
  // Alpha is how dark the mask is there; as a grey picture that is the other way round.
  const grey = () => {
    const data = now(), flat = document.createElement("canvas");
    [flat.width, flat.height] = [width, height];
    for (let i = 0; i < data.data.length; i += 4) { data.data[i] = data.data[i + 1] = data.data[i + 2] = 255 - data.data[i + 3]; data.data[i + 3] = 255; }
    flat.getContext("2d").putImageData(data, 0, 0);
    return flat.toDataURL("image/png").split(",")[1];
  };
  const load = async () => {
    if (!one.mask) { said.textContent = "There is no mask yet: all of it is learnt. Leave out what should not be."; return; }
    const seen = el("img", { src: `/api/resize/mask/${one.id}` });
    await seen.decode();
    pen.drawImage(seen, 0, 0, width, height);
    const data = now();
    for (let i = 0; i < data.data.length; i += 4) { data.data[i + 3] = 255 - data.data[i]; data.data[i] = data.data[i + 1] = data.data[i + 2] = 0; }
    pen.putImageData(data, 0, 0);
  };
  const save = async (data) => {
    if (saving) return;
    saving = true;
    const found = await L.attempt(() => L.post("/api/resize/mask", { picture: one.id, data }));
    saving = false;
    if (!found) return;
    one.mask = data !== null;
    painted = false;
    close(found.action);
    if (found.action) offer(found.action, data === null ? "The mask was taken away." : "The mask is saved.");
  };
  const offer = (action, words) => {
    const back = L.button("Undo", () => L.attempt(async () => {
      toast.remove();
      const found = await L.post("/api/resize/mask/undo", { action });
      L.toast(found.changed ? "The mask is as it was." : found.kept.join("; ") || "There was nothing to take back.");
      L.cropsChanged?.();
    }), "quiet");
    const toast = el("div", { class: "lor-toast lor-row tight", role: "status" }, words, back);
    (document.querySelector("dialog[open]") || document.querySelector(".gradio-container .contain")).append(toast);  // what is under a dialog can't be clicked
    setTimeout(() => toast.remove(), 12000);
  };

  const point = (event) => {
    const area = canvas.getBoundingClientRect();
    return [((event.clientX - area.left) / area.width) * width, ((event.clientY - area.top) / area.height) * height];
  };
  const stroke = (from, to) => {
    pen.globalCompositeOperation = tool === "paint" ? "destination-out" : "source-over";
    pen.strokeStyle = pen.fillStyle = "#000";
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = Math.max(1, (Number(size.value) / 100) * Math.max(width, height));
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
  };
  const box = (from, to) => {
    pen.putImageData(hold.before, 0, 0);
    pen.globalCompositeOperation = hold.first ? "source-over" : "destination-out";
    pen.fillStyle = "#000";
    if (hold.first) { pen.fillRect(0, 0, width, height); pen.globalCompositeOperation = "destination-out"; }
    pen.fillRect(Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
  };
  const bare = () => { const { data } = now(); for (let i = 3; i < data.length; i += 4) if (data[i]) return false; return true; };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    remember();
    hold = { from: point(event), last: point(event), before: now(), first: tool === "box" && bare() };
    canvas.setPointerCapture(event.pointerId);
    if (tool !== "box") stroke(hold.last, hold.last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!hold) return;
    const at = point(event);
    if (tool === "box") box(hold.from, at); else stroke(hold.last, at);
    hold.last = at;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { hold = null; });
  dialog.addEventListener("keydown", (event) => {
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (control && key === "z") step(...(event.shiftKey ? [undone, done] : [done, undone]));
    else if (control && key === "y") step(undone, done);
    else if (control || event.altKey) return;
    else if (key === "b") choose("paint");
    else if (key === "e") choose("erase");
    else if (key === "r") choose("box");
    else if (key === "i") invert();
    else if (key === "[" || key === "]") size.value = Number(size.value) + (key === "[" ? -2 : 2);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("cancel", (event) => {  // Escape must not lose what was painted
    if (!painted) return;
    event.preventDefault();
    said.textContent = "Not saved yet: save it, or press Cancel.";
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog && painted) event.stopImmediatePropagation(); }, true);
  L.attempt(load);
  return [el("p", { class: "lor-help" }, "What is dark here is not learnt. Trainers read masks/ beside the pictures: white is learnt, black is not."),
    el("div", { class: "lor-row" }, tools, el("label", { class: "lor-row tight" }, "Brush", size)),
    el("div", { class: "lor-crop-room" }, stage), said,
    el("div", { class: "lor-row" }, undo, redo, L.button("Invert", invert, "quiet"), L.button("Leave all out", () => whole(true), "quiet"), L.button("Learn all", () => whole(false), "quiet")),
    el("div", { class: "lor-row end" }, one.mask && L.button("Take the mask away", () => save(null)), L.button("Cancel", () => { painted = false; close(); }), L.button("Save the mask", () => save(grey()), "primary"))];
});
