// Pictures, folders and zips from this browser into the workspace, in parts that can be gone on with, and a data set of them.
"use strict";
{
  const L = Loratory;
  const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  L.crc32 = (bytes) => {
    let sum = 0xffffffff;
    for (let index = 0; index < bytes.length; index += 1) sum = TABLE[(sum ^ bytes[index]) & 255] ^ (sum >>> 8);
    return (sum ^ 0xffffffff) >>> 0;
  };

  // The files of a drop or of a picker, each with its path. Entries must be taken from the event before anything waits.
  L.droppedFiles = async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), found = [];
    if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
    const walk = async (entry, path) => {
      if (entry.isFile) {
        found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path: path + entry.name });
        return;
      }
      const reader = entry.createReader();
      for (;;) {  // some browsers give a hundred at a time
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) return;
        for (const inner of some) await walk(inner, `${path}${entry.name}/`);
      }
    };
    for (const entry of entries) await walk(entry, "");
    return found;
  };
  L.pickedFiles = (input) => [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

  // Anything onto which files may be dropped.
  L.dropPlace = (node, take) => {
    const has = (event) => event.dataTransfer?.types.includes("Files");
    let inside = 0;
    const mark = (by) => { inside = Math.max(0, inside + by); node.classList.toggle("lor-dropping", inside > 0); };
    node.addEventListener("dragenter", (event) => { if (has(event)) { event.preventDefault(); mark(1); } });
    node.addEventListener("dragleave", (event) => { if (has(event)) mark(-1); });
    node.addEventListener("dragover", (event) => { if (has(event)) event.preventDefault(); });
    node.addEventListener("drop", async (event) => {
      if (!has(event)) return;
      event.preventDefault();
      mark(-inside);
      const found = await L.attempt(() => L.droppedFiles(event.dataTransfer));
      if (found?.length) take(found);
    });
  };

  // From any page: the page of uploads opens, and sends them. It is drawn when it is opened for the first time.
  let begin = null;
  L.sendFiles = async (list) => {
    L.openPage("exchange");
    while (!begin) await new Promise((resolve) => { setTimeout(resolve, 50); });
    begin(list);
  };

  const nameOf = (list) => {
    const [first] = list, top = first.path.includes("/") ? first.path.split("/")[0] : "";
    if (top && list.every(({ path }) => path.startsWith(`${top}/`))) return top;
    return list.length === 1 ? first.path.replace(/\.[^.]*$/, "") : "upload";
  };

  L.upload = (root) => {
    const { el } = L;
    let now = null;  // the upload that is being sent
    const files = el("input", { type: "file", multiple: true, hidden: true, id: "upload-files", accept: "image/*,.txt,.caption,.json,.jsonl,.csv,.parquet,.zip",
      onchange: () => { take(L.pickedFiles(files)); files.value = ""; } });
    const folder = el("input", { type: "file", multiple: true, hidden: true, webkitdirectory: true, id: "upload-folder",
      onchange: () => { take(L.pickedFiles(folder)); folder.value = ""; } });
    const room = el("p", { class: "lor-help" }), waiting = el("div", {}), state = el("div", { role: "status", "aria-live": "polite" });
    const left = el("div", {}), made = el("div", {});
    const zone = el("div", { class: "lor-drop" }, el("p", {}, el("b", {}, "Drop pictures, folders or a zip here")),
      el("div", { class: "lor-row center" }, L.button("Choose pictures or a zip…", () => files.click(), "primary"), L.button("Choose a folder…", () => folder.click())), files, folder);
    L.put(root, el("div", { class: "lor-card" }, el("h2", {}, "Upload"),
      el("p", { class: "lor-help" }, "For a machine that isn't this one. Captions and folders such as 10_sks dog come along. A lost connection is waited out; after a reload choose the same files, and it goes on where it stopped."),
      zone, room, waiting, state, left, made));
    L.dropPlace(zone, (list) => take(list));

    const work = L.work(made, {
      words: (report) => (report.end.folder ? [`${L.counted(report.end.pictures, "picture")} in `, el("span", { class: "lor-path" }, report.end.folder), ". It is the open data set now. ", L.button("See the pictures", () => L.openPage("pictures"), "primary")] : []),
      done: (report) => {
        tell();
        if (report.state !== "finished") return;
        L.openDataset?.(report.end.folder);
      },
    });
    const tell = () => L.attempt(async () => {
      const about = await L.get("/api/uploads");
      room.textContent = `Up to ${L.bytes(about.room)} now: ${L.bytes(about.limit)} may be on their way at one time, and ${L.bytes(about.free)} of the disk are free.`;
      L.fill(waiting, about.unfinished.filter(({ id }) => id !== now?.id).map((one) => el("div", { class: "lor-file" },
        el("span", { class: "lor-path" }, one.name), el("span", { class: "lor-note" }, one.offset === one.total ? "All of it is here." : `${L.bytes(one.offset)} of ${L.bytes(one.total)} are here. Choose the same files to go on.`),
        one.offset === one.total && L.button("Make the data set", () => L.attempt(() => finish(one.id)), "quiet"),
        L.button("Discard", () => L.attempt(async () => { await L.post(`/api/uploads/${one.id}/discard`); tell(); }), "quiet"))));
    });
    const finish = async (id) => {
      const { work: begun } = await L.post(`/api/uploads/${id}/finish`);
      work.watch(begun);
    };

    const take = async (list) => {
      if (!list.length) return;
      if (now) { L.toast("Another upload is going on. Wait for it, or stop it.", true); return; }
      now = { stopped: false, id: null };
      work.clear();
      L.fill(left);
      L.fill(state, el("p", { class: "lor-note" }, `${L.counted(list.length, "file")}…`));
      try { await send(list); }
      catch (error) { L.fill(state, el("p", { class: "lor-problem", role: "alert" }, error.message)); }
      now = null;
      tell();
    };
    const send = async (list) => {
      const begun = await L.post("/api/uploads", { name: nameOf(list), files: list.map(({ file, path }) => ({ path, size: file.size, modified: file.lastModified })) });
      now.id = begun.id;
      tell();
      L.fill(left, begun.refused.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, `${L.counted(begun.refused.length, "file")} not sent`), L.problemList(begun.refused)));
      const stream = joined(begun.accepted.map((number) => list[number].file));
      const show = progress(begun);
      let offset = begun.offset, pause = 0;
      while (offset < begun.total) {
        if (now.stopped) { L.fill(state, el("p", {}, `Stopped at ${L.bytes(offset)} of ${L.bytes(begun.total)}. Choose the same files to go on.`)); return; }
        show(offset, pause);
        try {
          offset = await part(begun, stream, offset);
          pause = 0;
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          pause = Math.min(10, pause ? pause * 2 : 1);  // the connection is lost
          show(offset, pause);
          await new Promise((resolve) => { now.wake = resolve; setTimeout(resolve, 1000 * pause); });
        }
      }
      L.fill(state);
      await finish(begun.id);
    };
    const part = async (begun, stream, offset) => {
      const bytes = await stream(offset, Math.min(offset + begun.part, begun.total));
      const reply = await fetch(L.at(`/api/uploads/${begun.id}/part?offset=${offset}&crc=${L.crc32(bytes)}`), { method: "POST", headers: { "content-type": "application/octet-stream" }, body: bytes });
      if (reply.status === 401) location.reload();
      if ([502, 503, 504, 520, 522, 524].includes(reply.status)) throw new TypeError("the way is blocked");
      const body = reply.headers.get("content-type")?.includes("json") ? await reply.json() : {};
      if (typeof body.offset === "number" && [200, 409, 422].includes(reply.status)) return body.offset;  // it says where to go on
      throw new L.Refused(body.detail || `The window answered ${reply.status}`);
    };
    // All files as one row of bytes.
    const joined = (list) => async (from, to) => {
      const pieces = [];
      let start = 0;
      for (const file of list) {
        const end = start + file.size;
        if (end > from && start < to) pieces.push(file.slice(Math.max(0, from - start), Math.min(file.size, to - start)));
        start = end;
        if (start >= to) break;
      }
      try { return new Uint8Array(await new Blob(pieces).arrayBuffer()); }
      catch { throw new L.Refused("A file can't be read any more: was it moved or changed? Choose the files again."); }
    };
    const progress = (begun) => {
      const bar = el("progress", { max: begun.total, value: begun.offset, "aria-label": "Upload" }), words = el("span", { class: "lor-note" });
      const began = performance.now();
      L.fill(state, bar, el("div", { class: "lor-row" }, words, L.button("Stop", () => { now.stopped = true; now.wake?.(); }, "quiet")));
      return (offset, pause) => {
        bar.value = offset;
        const spent = (performance.now() - began) / 1000, rest = offset > begun.offset ? spent / (offset - begun.offset) * (begun.total - offset) : null;
        words.textContent = pause ? `${L.bytes(offset)} of ${L.bytes(begun.total)} are there. The connection was lost; trying again…`
          : `${L.bytes(offset)} of ${L.bytes(begun.total)}${rest === null ? "" : `, ${L.duration(rest)} left`}`;
      };
    };
    begin = take;
    window.addEventListener("beforeunload", (event) => { if (now && !now.stopped) event.preventDefault(); });
    tell();
    L.attempt(async () => {
      const { id } = await L.get("/api/work/newest/upload");
      const report = id && await L.get(`/api/work/${id}`);
      if (report && ["running", "queued"].includes(report.state)) work.watch(id);
    });
  };
}
