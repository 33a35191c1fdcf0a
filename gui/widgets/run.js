// One run: what it does now, its curves, samples, files and log, and what can be asked of it.
"use strict";
Loratory.runView = (id, { changed, load }) => {
  const L = Loratory, { el } = L;
  const base = `/api/runs/${encodeURIComponent(id)}`;
  const OVER = ["finished", "stopped", "paused", "interrupted", "failed"];
  const head = el("div", { class: "lor-run-head" }), facts = el("div", { class: "lor-facts-row" }), noted = el("div", {});
  const actions = el("div", { class: "lor-row" }), samples = el("div", {}), files = el("div", {});
  const progress = el("progress", { max: 1, value: 0, "aria-label": "Progress" }), status = el("p", { role: "status" });
  const loss = L.chart("Loss", { band: true }), rate = L.chart("Learning rate");
  const charts = el("div", { class: "lor-charts", hidden: true }, loss.node, rate.node);
  const log = L.log(`${base}/log`, `${base}/files/log.txt`);
  const config = el("pre", { class: "lor-log", tabindex: "0", "aria-label": "Settings of this run" });
  const settings = el("details", { class: "lor-details", ontoggle: async () => {
    if (settings.open && !config.textContent) config.textContent = (await L.get(`${base}/settings`)).text;
  } }, el("summary", {}, "Settings of this run"),
  el("div", { class: "lor-row" }, L.button("Load these settings into the form", () => load(false)), el("a", { class: "lor-button", href: `${base}/files/config.toml`, download: "" }, "Download config.toml"),
    L.button("Copy", () => L.copy(config.textContent))), config);
  const results = L.captionResults(), coverage = L.runCoverage(base), failure = L.failure(base, (fix) => load(false, fix));
  const logBox = el("details", { class: "lor-details", open: true }, el("summary", {}, "Log"), log.node);
  const node = el("div", {}, el("div", { class: "lor-card" }, head, progress, status, facts, actions), failure.node, noted, charts, samples, results.node, files, coverage.node, settings, logBox);
  const shown = {};  // what was drawn last, so that nothing is drawn twice (and no selection or focus is lost)
  const once = (name, value, draw) => { const now = JSON.stringify(value); if (shown[name] !== now) { shown[name] = now; draw(); } };

  const ask = (action, done) => async () => { if ((await L.attempt(() => L.post(`${base}/${action}`))) !== undefined && done) L.toast(done); changed(); await refresh(); };
  const extend = async () => {
    const length = await L.attempt(() => L.get(`${base}/length`));
    if (!length) return;
    const to = await L.dialog("Train longer", (close) => {
      const field = el("input", { type: "number", min: length.now + 1, value: 2 * length.now, "aria-label": `${length.by} in all` });
      return [el("p", {}, `It was given ${length.now.toLocaleString("en")} ${length.by}. It goes on where it is, to this many ${length.by} in all:`), field,
        el("p", { class: "lor-note" }, "From there on the learning rate is that of the longer run: with any schedule but a constant one it rises again."),
        el("div", { class: "lor-row end" }, L.button("Cancel", () => close()), L.button("Go on", () => close(Number(field.value)), "primary"))];
    });
    if (to && (await L.attempt(() => L.post(`${base}/extend`, { to }))) !== undefined) L.toast(`It goes on to ${to.toLocaleString("en")} ${length.by}.`);
    changed();
    await refresh();
  };
  const openFolder = async (path) => {
    if (await L.attempt(() => L.post("/api/dataset", { path }))) { L.opened(path); L.openPage("pictures"); }
  };
  const refresh = async () => {
    const run = await L.get(base);
    once("state", run.state, changed);  // the list beside says the same
    once("head", [run.name, run.state, run.created, run.device, run.sentence], () => drawHead(run));
    once("now", [run.step, run.total, run.state, run.phase, run.eta, run.loss, run.it_s, run.asked, run.patience_ends, run.waits, run.captions], () => drawNow(run));
    once("actions", [run.state, run.asked, run.kind, run.class_images, run.waits, run.captions?.problems, run.captions?.move], () => drawActions(run));
    once("ending", run.end, () => failure.draw(run.end));
    once("warnings", run.warnings, () => drawWarnings(run));
    once("samples", run.samples, () => drawSamples(run));
    once("files", run.files.filter((file) => file.kind !== "record"), () => drawFiles(run));
    await coverage.refresh(run);
    if (run.captions) await results.refresh(run);
    else if (shown.points !== run.points) {
      const curves = await L.get(`${base}/curves`);
      charts.hidden = !run.points;
      const held = Object.entries(curves.validation).map(([name, curve]) => ({ ...curve, name }));
      loss.show([{ ...curves.loss, name: held.length ? "training" : "" }, ...held], curves.total);
      const groups = Object.entries(curves.rates);
      rate.show(groups.map(([name, curve]) => ({ ...curve, name: groups.length > 1 ? name.replaceAll("_", " ") : "" })), curves.total);
      shown.points = run.points;
    }
    if (logBox.open) await log.refresh();
  };

  const drawHead = (run) => L.fill(head, el("div", { class: "lor-row" }, el("h2", {}, run.name), L.chip(run.state, run.word)),
    el("p", { class: "lor-note" }, L.when(run.created), run.device ? ` · on ${run.device}` : ""), run.sentence && el("p", {}, run.sentence));
  const fact = (name, value) => el("div", { class: "lor-fact" }, el("b", {}, value), el("span", {}, name));
  const drawNow = (run) => {
    const live = run.state === "running", phase = run.phase.name;
    progress.hidden = !(live || (run.total && run.state !== "finished")) || run.state === "queued";
    if (phase && run.phase.total && !run.phase.done && run.phase.total > 1) progress.removeAttribute("value");
    if (phase) { progress.max = run.phase.total || 1; progress.value = run.phase.done || 0; }
    else if (run.total) { progress.max = run.total; progress.value = run.step; }
    else progress.removeAttribute("value");
    const part = phase && `${phase[0].toUpperCase()}${phase.slice(1)}${run.phase.total > 1 ? `: ${run.phase.done} of ${run.phase.total}` : "…"}`;
    if (run.captions) {
      status.textContent = L.captionStatus(run);
      return L.fill(facts, L.captionFacts(run), live && run.img_s > 0 && fact("pictures a second", L.number(run.img_s, 3)), live && run.eta > 0 && fact("left", L.duration(run.eta)));
    }
    const wish = ["stop", "pause"].find((one) => run.asked.includes(one));
    const asked = wish && `${wish === "stop" ? "Stopping" : "Pausing"} after this step; what is learnt is saved.${run.patience_ends ? ` If it does not answer by ${new Date(run.patience_ends * 1000).toLocaleTimeString()}, it is ended at once.` : ""}`;
    status.textContent = { queued: run.waits ? "Waits in the queue, which is shown above." : "Not in the queue: it waits for you.", interrupted: `Interrupted at step ${run.step}. It can go on from the last saved state.`,
      running: asked || part || (run.total ? `${Math.floor((100 * run.step) / run.total)} %${run.eta ? `, ${L.duration(run.eta)} left` : ""}` : "Starting…"),
      paused: `Paused at step ${run.step.toLocaleString("en")}. Everything is saved and nothing runs; it goes on exactly where it was.`,
      stopped: run.end.hung ? "It did not answer, and was ended at once. It can go on from the last saved state." : run.end.killed ? `Ended at once at step ${run.step}, without saving.` : `Stopped at step ${run.step}; saved.`, failed: `Failed${run.step ? ` at step ${run.step}` : ""}.`,
      finished: `Finished${run.end.seconds === undefined ? "" : ` in ${L.duration(run.end.seconds)}`}.` }[run.state];
    return L.fill(facts, run.total > 0 && fact("step", `${run.step.toLocaleString("en")} / ${run.total.toLocaleString("en")}`),
      run.epoch !== null && run.epochs > 0 && fact("epoch", `${Math.min(run.epochs, Math.floor(run.epoch) + (live ? 1 : 0)) || 1} / ${run.epochs}`),
      live && run.eta !== null && fact("left", L.duration(run.eta)), run.it_s !== null && run.step > 0 && fact("steps a second", L.number(run.it_s, 3)),
      run.img_s !== null && run.step > 0 && fact("pictures a second", L.number(run.img_s, 3)),
      run.loss !== null && fact("loss, averaged", L.number(run.loss)), run.rate !== null && live && fact("learning rate", L.number(run.rate, 3)),
      run.memory_gb !== null && fact("GB at most", L.number(run.memory_gb, 3)));
  };
  const drawActions = (run) => {
    if (run.captions) return L.fill(actions, L.captionActions(run, (other) => { changed(); if (other) L.openRun(other); else refresh(); }), run.state !== "queued" && L.button("Load these settings into the form", () => load(false), "quiet"));
    const training = run.kind === "train";
    return L.fill(actions, run.state === "running" && [
      L.button("Stop and save", ask("stop", "It stops after this step, and saves."), "primary", { disabled: run.asked.includes("stop") }),
      training && L.button("Pause", ask("pause", "It pauses after this step, saves, and frees the device."), "", { disabled: run.asked.includes("pause") }),
      training && L.button("Save now", ask("save", "It saves after this step.")), training && L.button("Sample now", ask("sample", "It draws samples after this step.")),
      L.button("End at once…", async () => { if (await L.confirm("End this run at once?", "What was learnt since the last saved state is lost. Stop and save is nearly always better.", "End at once")) await ask("kill")(); }, "quiet")],
    ["interrupted", "stopped", "paused", "failed"].includes(run.state) && L.button("Resume", ask("resume", "It goes on where it was saved."), "primary"),
    run.class_images && L.button("Class images", () => openFolder(run.class_images), "quiet"),
    training && OVER.includes(run.state) && L.button("Train longer…", extend),
    training && OVER.includes(run.state) && run.step > 0 && L.button("New run from these weights", () => load(true)),
    run.state === "queued" && (run.waits ? L.button("Take out of the queue", ask("stop")) : L.button("Put into the queue", ask("queue"), "primary")),
    run.state !== "queued" && training && L.button("Load these settings into the form", () => load(false), run.state === "running" ? "quiet" : ""));
  };
  const drawWarnings = (run) => L.fill(noted,
    run.warnings.length > 0 && el("div", { class: "lor-card lor-noted" }, el("b", {}, "Good to know"), el("ul", {}, run.warnings.map((text) => el("li", {}, text)))));

  const drawSamples = (run) => {
    const { prompts, steps, have } = run.samples;
    if (!have.length) return L.fill(samples);
    const seeds = new Map(have.map(([step, index, seed]) => [`${step}/${index}`, seed]));
    const all = have.map(([step, index]) => ({ step, index, prompt: (prompts.find(([n]) => n === index) || [0, ""])[1], seed: seeds.get(`${step}/${index}`) }));
    const cell = (step, index) => el("td", {}, seeds.has(`${step}/${index}`) && el("button", { type: "button", class: "lor-thumb", "aria-label": `Sample ${index + 1} at step ${step}, enlarge`,
      onclick: () => L.viewSamples(base, all, all.findIndex((one) => one.step === step && one.index === index)) },
    el("img", { loading: "lazy", decoding: "async", alt: "", width: 128, height: 128, src: `${base}/samples/${step}/${index}?side=256` })));
    const scroller = el("div", { class: "lor-samples", tabindex: "0", role: "region", "aria-label": "Samples" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Prompt"), steps.map((step) => el("th", { scope: "col" }, step === 0 ? "before" : `step ${step.toLocaleString("en")}`)))),
      el("tbody", {}, prompts.map(([index, prompt]) => el("tr", {}, el("th", { scope: "row" }, prompt || "no words"), steps.map((step) => cell(step, index)))))));
    L.fill(samples, el("div", { class: "lor-card" }, el("h3", {}, "Samples"), el("p", { class: "lor-help" }, "The same prompts and seeds every time. Click a picture to see it large; the arrow keys step through time."), scroller));
    return requestAnimationFrame(() => { scroller.scrollLeft = scroller.scrollWidth; });
  };
  const drawFiles = (run) => {
    const whole = run.files.some((file) => file.kind === "model");
    const made = run.files.filter((file) => ["lora", "model", "embedding", "folder"].includes(file.kind)), checkpoints = run.files.filter((file) => file.kind === "checkpoint");
    const line = (file) => el("li", { class: "lor-file" }, el("span", { class: "lor-path" }, file.name.split("/").at(-1)),
      el("span", { class: "lor-note" }, L.bytes(file.bytes), file.step ? ` · step ${file.step.toLocaleString("en")}` : ""), el("a", { class: `lor-button${["checkpoint", "folder"].includes(file.kind) ? "" : " primary"}`, href: `${base}/${file.kind === "folder" ? "folders" : "files"}/${file.name.split("/").map(encodeURIComponent).join("/")}`, download: "" }, file.kind === "folder" ? "Download as zip" : "Download"));
    if (!made.length && !checkpoints.length) return L.fill(files);
    const isWord = (file) => file.name.split("/").at(-2) === "embeddings";
    const [lora, word] = [(file) => !isWord(file) && file.kind !== "folder", isWord].map((which) => [...made, ...checkpoints].find(which)?.name.split("/").at(-1).replace(/\.safetensors$/, ""));
    return L.fill(files, el("div", { class: "lor-card" }, el("h3", {}, "Files to take away"),
      made.length > 0 && el("ul", { class: "lor-files" }, made.map(line)),
      checkpoints.length > 0 && el("details", { open: !made.length }, el("summary", {}, `${checkpoints.length} checkpoint${checkpoints.length === 1 ? "" : "s"} on the way`), el("ul", { class: "lor-files" }, checkpoints.map(line))),
      el("p", { class: "lor-note" }, "All of it lies in ", el("span", { class: "lor-path" }, run.folder)),
      el("details", {}, el("summary", {}, "How to use it in ComfyUI, A1111 and Forge"), el("ul", {},
        whole && [
          el("li", {}, "ComfyUI: put the file into models/checkpoints and choose it in a Load Checkpoint node."),
          el("li", {}, "A1111, Forge: put it into models/Stable-diffusion and choose it at the top left."),
          el("li", {}, "diffusers: StableDiffusionPipeline.from_single_file(path of the file); of SDXL, StableDiffusionXLPipeline."),
          el("li", {}, "To train on from it, choose it as the base model.")],
        lora && !whole && [
          el("li", {}, "ComfyUI: put the file into models/loras, add a Load LoRA node between the checkpoint and the sampler, and write your trigger words into the prompt."),
          el("li", {}, "A1111, Forge: put the file into models/Lora and write ", el("code", {}, `<lora:${lora}:0.8>`), " and your trigger words into the prompt. ", L.button("Copy", () => L.copy(`<lora:${lora}:0.8>`), "quiet")),
          el("li", {}, "diffusers: pipe.load_lora_weights(path of the file).")],
        word && [
          el("li", {}, "New words in ComfyUI: put their files into models/embeddings and write ", el("code", {}, `embedding:${word}`), " into the prompt where the captions had the word."),
          el("li", {}, "New words in A1111, Forge: put their files into embeddings and write ", el("code", {}, word), ". There the file's name is the word: rename it as you like."),
          el("li", {}, "New words in diffusers: pipe.load_textual_inversion(path of the file, token=the word); of SDXL once for each of its two tensors.")],
        !whole && el("li", {}, `Use it with the base model it was trained on, or one that descends from it.${lora ? " Start at strength 0.8." : ""}`)))));
  };
  return { node, refresh };
};

// Samples large, one after the other: left and right go through time, up and down through prompts.
Loratory.viewSamples = (base, all, index) => Loratory.dialog("Sample", (close, dialog) => {
  const L = Loratory, { el } = L;
  dialog.classList.add("lor-viewer");
  const image = el("img", { alt: "" }), text = el("div", { class: "lor-viewer-text" });
  const show = () => {
    const one = all[index];
    image.src = L.at(`${base}/samples/${one.step}/${one.index}`);
    image.alt = one.prompt;
    L.fill(text, el("h3", {}, one.step === 0 ? "Before training" : `Step ${one.step.toLocaleString("en")}`), el("p", {}, one.prompt), el("p", { class: "lor-note" }, `seed ${one.seed}`));
  };
  const turn = (test, order) => {
    const here = all[index];
    const next = all.filter((one) => test(one, here)).sort((a, b) => order(a) - order(b))[0];
    if (next) { index = all.indexOf(next); show(); }
  };
  const later = () => turn((one, here) => one.index === here.index && one.step > here.step, (one) => one.step);
  const earlier = () => turn((one, here) => one.index === here.index && one.step < here.step, (one) => -one.step);
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") later();
    if (event.key === "ArrowLeft") earlier();
    if (event.key === "ArrowDown") turn((one, here) => one.step === here.step && one.index > here.index, (one) => one.index);
    if (event.key === "ArrowUp") turn((one, here) => one.step === here.step && one.index < here.index, (one) => -one.index);
  });
  show();
  return [image, text, el("div", { class: "lor-row end" }, L.button("Earlier", earlier), L.button("Later", later), L.button("Close", () => close(), "", { autofocus: true }))];
});
