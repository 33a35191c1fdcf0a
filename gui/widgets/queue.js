// The queue above the runs: what runs on which device, what waits and why, in an order that can be changed.
"use strict";
Loratory.queue = (root) => {
  const L = Loratory, { el } = L;
  const place = el("section", { class: "lor-card lor-queue", "aria-label": "Queue", hidden: true });
  root.append(place);
  let before = "", dragged = null, told = null;
  const act = async (path, body) => {
    const now = await L.attempt(() => L.post(`/api/queue/${path}`, body));
    if (now) draw(now); else turn();
  };
  const of = (job, what) => `jobs/${encodeURIComponent(job.id)}/${what}`;
  const open = (job) => L.button(job.name, () => L.openRun(job.id), "quiet");
  const device = (one) => el("li", {}, el("span", { class: "lor-note" }, one.name), one.job ? open(one.job) : el("span", {}, "free"));
  const small = (label, name, job, path, off) => L.button(label, () => act(of(job, path)), "quiet", { disabled: off, "data-key": `${job.id} ${path}`, "aria-label": `${name}: ${job.name}`, title: name });
  const row = (job, index, all) => {
    const node = el("li", { class: "lor-queue-job", draggable: "true",
      ondragstart: (event) => { dragged = job; event.dataTransfer.setData("text/plain", job.name); event.dataTransfer.effectAllowed = "move"; node.classList.add("dragged"); },
      ondragend: () => { dragged = null; node.classList.remove("dragged"); draw(told); },
      ondragover: (event) => { if (dragged && dragged.id !== job.id) { event.preventDefault(); node.classList.add("target"); } },
      ondragleave: () => node.classList.remove("target"),
      ondrop: (event) => { event.preventDefault(); const moved = dragged; dragged = null; if (moved) act(of(moved, "before"), { other: below(moved, index, all) }); } },
    el("span", { class: "lor-queue-number", "aria-hidden": "true" }, `${index + 1}`),
    el("span", { class: "lor-queue-what" }, open(job), el("span", { class: "lor-note" }, [job.needs && `needs ${job.needs}`, !told.paused && job.why].filter(Boolean).join(" · "))),
    el("span", { class: "lor-row tight" }, small("↑", "Earlier", job, "move/up", index === 0), small("↓", "Later", job, "move/down", index === all.length - 1),
      small("Run next", "Run next", job, "move/next", index === 0), small("Remove", "Remove from the queue", job, "remove", false)));
    return node;
  };
  // Dropped on a job further up it goes before that one, further down after it.
  const below = (moved, index, all) => {
    const from = all.findIndex((one) => one.id === moved.id);
    return (from < index ? all[index + 1]?.id : all[index].id) ?? null;
  };
  const draw = (now) => {
    told = now;
    if (dragged || JSON.stringify(now) === before) return;
    before = JSON.stringify(now);
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    place.hidden = !(now.paused || now.waiting.length || now.devices.some((one) => one.job));
    L.fill(place, el("div", { class: "lor-row" }, el("h2", {}, "Queue"), now.paused
      ? L.button("Continue the queue", () => act("continue"), "primary", { "data-key": "pause" })
      : L.button("Pause the queue", () => act("pause"), "", { "data-key": "pause" })),
    now.paused && el("p", { class: "lor-warning", role: "status" }, "The queue is paused: nothing new starts. What runs goes on."),
    el("ul", { class: "lor-queue-devices", "aria-label": "Devices" }, now.devices.map(device)),
    now.waiting.length > 0 && el("ol", { class: "lor-queue-jobs", "aria-label": "Waiting" }, now.waiting.map(row)),
    now.waiting.length === 0 && el("p", { class: "lor-note" }, "Nothing waits."));
    if (focused) {
      const same = [...place.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused);
      (same && !same.disabled ? same : place.querySelector("[data-key=pause]")).focus();
    }
  };
  const turn = L.poll(root, 2, async () => {
    const now = await L.get("/api/queue");
    draw(now);
    if (now.idle) draw(await L.post("/api/queue/tend"));
  });
};
