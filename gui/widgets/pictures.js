// The data set that is open: its pictures in a grid that loads as it is scrolled, what is wrong with it, its buckets.
"use strict";
Loratory.pictures = (root, { about, trigger }) => {
  const L = Loratory, { el } = L;
  let data = null, shown = [];
  const newest = L.latest();
  const path = el("input", { class: "lor-input", id: "dataset-path", type: "text", spellcheck: "false", placeholder: "/home/me/pictures/my subject",
    onkeydown: (event) => { if (event.key === "Enter") open(path.value); } });
  const summary = el("div", { class: "lor-summary" });
  const issues = el("div", {}), sizes = el("div", {});
  const grid = el("div", { class: "lor-grid", role: "list", "aria-label": "Pictures" });
  const filter = el("input", { type: "search", class: "lor-input", placeholder: "Filter by file name or caption", "aria-label": "Filter pictures",
    oninput: () => draw() });
  const filterNote = el("span", { class: "lor-note", role: "status" });
  const filterRow = el("div", { class: "lor-row", hidden: true }, filter, filterNote);
  const room = (name, text) => el("button", { type: "button", class: "lor-link", onclick: () => L.openTab(name) }, text);
  const guide = el("div", { class: "lor-card lor-guide" }, el("h3", {}, "From pictures to a LoRA"), el("ol", {},
    el("li", {}, "Open a folder with 10 to 50 pictures of your subject or style", about.demo && ", or the demo pictures", "."),
    el("li", {}, "Let a program describe them in ", room("captions", "Captions"), ", and correct what it says in the ", room("tags", "Tag editor"), "."),
    el("li", {}, "Press Use for training, choose a preset for your model and card in ", room("train", "LoRA training"), ", and start."),
    el("li", {}, "Watch loss and samples in ", room("runs", "Runs"), ", and take the file from there to ComfyUI, A1111 or Forge.")));
  const repeats = el("input", { class: "lor-input short", type: "number", min: 1, id: "dataset-repeats", placeholder: "auto" });
  const wordless = el("p", { class: "lor-help" });
  const describe = el("div", { class: "lor-card", hidden: true }, el("h3", {}, "Captions"), wordless,
    el("div", { class: "lor-row" }, L.button("Caption these pictures", () => trigger("keep", { folder: data.path })), L.button("Edit captions", () => L.openTab("tags"))));
  const use = el("div", { class: "lor-card", hidden: true }, el("h3", {}, "Use this folder in place"),
    el("p", { class: "lor-help" }, "Trains from here; nothing is copied. Empty repeats: the number that a folder's name begins with, else 1."),
    el("div", { class: "lor-row" }, el("label", { class: "lor-row tight", for: "dataset-repeats" }, "Repeats", repeats),
      L.button("Use for training", () => trigger("choose", { folder: data.path, repeats: repeats.value ? Number(repeats.value) : null }), "primary")),
    el("p", { class: "lor-help last" }, "Or lay out copies in kohya's folders: ", el("button", { type: "button", class: "lor-link", onclick: () => L.openPage("layout") }, "Training folders"), "."));

  L.put(root,
    el("div", { class: "lor-card" },
      el("label", { class: "lor-label", for: "dataset-path" }, "Folder with pictures"),
      el("p", { class: "lor-help" }, "A folder of pictures, kohya folders such as 10_sks dog, or any tree of folders. Captions lie beside the pictures as .txt files."),
      el("div", { class: "lor-row" }, path,
        L.button("Browse…", async () => { const chosen = await L.browse("folder", path.value, "Folder with pictures"); if (chosen) open(chosen); }),
        L.button("Open", () => open(path.value), "primary"),
        L.button("Upload pictures…", () => L.openPage("exchange")),
        about.demo && L.button("Use the demo pictures", () => open(about.demo)))),
    guide, summary, el("div", { class: "lor-dataset" }, el("div", {}, filterRow, grid), el("div", {}, describe, use, sizes, issues)));

  L.dropPlace(root.firstElementChild, L.sendFiles);
  const open = async (wanted) => {
    path.value = wanted;
    L.fill(summary, el("p", { class: "lor-note", role: "status" }, "Looking through the folder…"));
    const found = await L.attempt(() => newest(L.post("/api/dataset", { path: wanted })));
    if (!found) return L.fill(summary);
    show(found);
    L.opened(found.path);
    if (found.pictures) trigger("input", { folder: found.path });
    return undefined;
  };
  L.openDataset = open;
  const fact = (name, value, note = "") => el("div", { class: "lor-fact" }, el("b", {}, value), el("span", {}, name), note && el("small", {}, note));
  const show = (found) => {
    data = found;
    guide.hidden = true;
    path.value = found.path;
    const size = (pair) => `${pair[0]} × ${pair[1]}`;
    const without = found.pictures - found.captioned;
    L.fill(summary, el("div", { class: "lor-facts-row" },
      fact(found.pictures === 1 ? "picture" : "pictures", found.pictures.toLocaleString("en")),
      found.pictures > 0 && fact("with a caption", found.captioned.toLocaleString("en"), without ? `${without} without` : "all of them"),
      found.left_out > 0 && fact("left out", found.left_out.toLocaleString("en"), "see below"),
      found.pictures > 0 && fact("sizes", found.pictures > 1 && size(found.smallest) !== size(found.largest) ? `${size(found.smallest)} – ${size(found.largest)}` : size(found.largest),
        found.upscaled ? `${found.upscaled} smaller than their bucket` : ""),
      found.buckets.length > 0 && fact("cut off on average", `${(100 * found.crop_loss).toFixed(1)} %`, `trained at ${[found.resolution, ...found.more_resolutions].join(" and ")} px`)));
    L.fill(sizes, found.buckets.length > 0 && el("details", { class: "lor-details", open: found.buckets.length < 9 },
      el("summary", {}, `${found.buckets.length} bucket${found.buckets.length === 1 ? "" : "s"} at ${[found.resolution, ...found.more_resolutions].join(" and ")} px`),
      el("p", { class: "lor-help" }, "Pictures are trained in groups of one shape. The resolution is set in LoRA training."), buckets(found.buckets)),
    found.groups.length > 1 && el("details", { class: "lor-details", open: true },
      el("summary", {}, `${found.groups.length} folders`),
      el("table", { class: "lor-table" }, el("thead", {}, el("tr", {}, ["Folder", "Pictures", "Repeats", "Captions"].map((head) => el("th", {}, head)))),
        el("tbody", {}, found.groups.map((group) => el("tr", {}, el("td", {}, group.name), el("td", {}, String(group.pictures)),
          el("td", {}, String(group.repeats)), el("td", {}, String(group.captioned))))))));
    L.fill(issues, found.problems.length > 0 && el("details", { class: "lor-details", open: found.left_out > 0 && found.problems.length < 12 },
      el("summary", {}, `${found.problems.length} thing${found.problems.length === 1 ? "" : "s"} to look at`), L.problemList(found.problems)));
    use.hidden = describe.hidden = filterRow.hidden = !found.pictures;
    wordless.textContent = without ? `${L.counted(without, "picture")} ${without === 1 ? "has" : "have"} no caption yet. Programs can write them for you.` : "All have one. Programs can add to them, or write new ones.";
    draw();
  };
  const buckets = (rows) => {
    const most = Math.max(...rows.map((row) => row[2]));
    return el("table", { class: "lor-table lor-buckets" }, el("thead", {}, el("tr", {}, el("th", {}, "Width × height"), el("th", {}, "Shape"), el("th", {}, "Pictures"))),
      el("tbody", {}, rows.map(([width, height, count]) => {
        const shape = el("span", { class: "lor-shape" });
        shape.style.width = `${(22 * width) / Math.max(width, height)}px`;
        shape.style.height = `${(22 * height) / Math.max(width, height)}px`;
        const bar = el("span", { class: "lor-bar" });
        bar.style.width = `${(100 * count) / most}%`;
        return el("tr", {}, el("td", {}, `${width} × ${height}`), el("td", {}, shape), el("td", { class: "lor-bar-cell" }, el("span", { class: "lor-bar-track" }, bar), String(count)));
      })));
  };
  const draw = () => {
    const sought = filter.value.toLowerCase();
    shown = (data?.items || []).filter((item) => !sought || item.name.toLowerCase().includes(sought) || item.caption.toLowerCase().includes(sought));
    filterNote.textContent = sought ? `${shown.length} of ${data.items.length}` : "";
    L.fill(grid, shown.map((item, index) => el("figure", { role: "listitem" },
      el("button", { type: "button", class: "lor-thumb", onclick: () => look(index), "aria-label": `${item.name}, enlarge` },
        el("img", { loading: "lazy", decoding: "async", src: `/api/pictures/${item.id}?side=256`, alt: "", width: 256, height: 256 })),
      el("figcaption", {}, el("span", { class: `lor-caption${item.own ? "" : " missing"}` }, item.caption || "no caption"),
        el("span", { class: "lor-note" }, `${item.width} × ${item.height}`)))));
  };
  const look = (index) => L.dialog("Picture", (close, dialog) => {
    dialog.classList.add("lor-viewer");
    const image = el("img", { alt: "" }), text = el("div", { class: "lor-viewer-text" });
    const turn = (by) => {
      index = (index + by + shown.length) % shown.length;
      const item = shown[index];
      image.src = L.at(`/api/pictures/${item.id}?side=768`);
      L.fill(text, el("h3", {}, item.name), el("p", { class: item.own ? "" : "lor-note" }, item.caption || "no caption"),
        el("p", { class: "lor-note" }, `${item.width} × ${item.height}, trained as ${item.buckets.map(([width, height]) => `${width} × ${height}`).join(" and ")}, ${item.buckets.length > 1 ? "each " : ""}${item.repeats} time${item.repeats === 1 ? "" : "s"} an epoch`),
        el("p", { class: "lor-note" }, `${index + 1} of ${shown.length}${item.folder ? ` · ${item.folder}` : ""}`));
    };
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") turn(1);
      if (event.key === "ArrowLeft") turn(-1);
    });
    turn(0);
    return [image, text, el("div", { class: "lor-row end" }, L.button("Previous", () => turn(-1)), L.button("Next", () => turn(1)), L.button("What the trainer sees", () => L.seen(shown[index].id)), L.button("Close", () => close(), "", { autofocus: true }))];
  });

  const load = async () => { const found = await newest(L.get("/api/dataset")); if (found.path) show(found); };
  L.attempt(load);
  document.addEventListener("lor-opened", (event) => { if (event.detail !== data?.path) L.attempt(load); });  // by another page
  const changed = L.captionsChanged;
  L.captionsChanged = () => { changed?.(); if (data?.path) L.attempt(load); };
};

Loratory.problemList = (problems) => Loratory.el("ul", { class: "lor-problem-list" }, problems.map((problem) => Loratory.el("li", {},
  Loratory.el("b", { title: problem.path }, problem.name), ` ${problem.reason}. `,
  Loratory.el("span", { class: "lor-note" }, `${problem.used ? "Used anyway" : "Left out"}; ${problem.fix}.`))));
