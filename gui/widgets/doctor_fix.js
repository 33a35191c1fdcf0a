// What a fix would do, file by file, before it is done; and what was done, with a way back, and the bin.
"use strict";
(() => {
  const L = Loratory, { el } = L;

  const WHAT = {
    bin: (one) => ["goes to the bin", one.others.length > 0 && ` with ${one.others.join(", ")}`],
    rename: (one) => ["becomes ", el("b", {}, one.to)],
    flatten: (one) => ["gets a flat copy, ", el("b", {}, one.to), "; the original goes to the bin"],
    exclude: () => ["is left out of training; the file stays where it is"],
    include: () => ["is trained on again"],
    delete: (one) => [other(one), "is deleted"],
    write: (one) => [other(one), one.more > 0 && `${one.more + 1} captions, such as `, one.after ? el("p", { class: "lor-diff" }, L.difference(one.before.replace(/\s*[\r\n]+\s*/g, " ⏎ "), one.after)) : "is written anew"],
  };
  const other = (one) => one.file !== one.name && `${one.file} `;
  const line = (one) => el("li", { class: "lor-step" }, one.id ? el("img", { loading: "lazy", alt: "", width: 56, height: 56, src: `/api/pictures/${one.id}?side=64` }) : el("span", {}),
    el("div", {}, el("b", { class: "lor-path" }, one.path), " ", WHAT[one.what](one)));

  // doctorFix(wish, page)(fix): the preview of a fix, and then the fix.
  L.doctorFix = ({ finding, some, keep }, page) => (fix) => L.dialog(fix.label, (close, dialog) => {
    dialog.classList.add("lor-wide");
    const newest = L.latest();
    const options = fix.options.map((option) => {
      const select = el("select", { class: "lor-input", "aria-label": option.label, onchange: () => look() }, option.choices.map((choice) => el("option", { value: choice }, choice)));
      return { name: option.name, select, node: el("label", {}, el("span", { class: "lor-label" }, option.label), select) };
    });
    const place = el("div", { role: "status" });
    const go = L.button(fix.label, () => apply(), "primary", { disabled: true });
    const wish = () => ({ ...some, keep, how: fix.how, options: options.map((one) => `${one.name}=${one.select.value}`) });
    let digest = "";
    const look = async () => {
      go.disabled = true;
      L.fill(place, el("p", { class: "lor-note" }, "Looking at the files…"));
      try {
        const plan = await newest(L.post(`/api/examine/${page.examination().id}/preview`, wish()));
        digest = plan.digest;
        go.disabled = !plan.count;
        L.fill(place, el("p", {}, plan.count ? `This is what happens to ${L.counted(plan.count, "file")}. It can be taken back.` : "There is nothing to change."),
          plan.count > 0 && el("ul", { class: "lor-steps" }, plan.steps.map(line)), plan.count > plan.steps.length && el("p", { class: "lor-note" }, `and ${(plan.count - plan.steps.length).toLocaleString("en")} more`),
          plan.problems.length > 0 && [el("p", { class: "lor-label" }, "These can't be mended like that"), el("ul", { class: "lor-problem-list" }, plan.problems.map((one) => el("li", {}, el("b", {}, one.name), ` ${one.reason}; ${one.fix}.`)))]);
      } catch (error) { L.fill(place, el("p", { class: "lor-problem" }, error.message)); }
    };
    const apply = () => L.attempt(async () => {
      go.disabled = true;
      const { id } = await L.post(`/api/examine/${page.examination().id}/apply`, { ...wish(), digest });
      close(true);
      page.follow(id);
    });
    look();
    return [el("p", { class: "lor-note" }, finding.title), options.length > 0 && el("div", { class: "lor-row lor-actions" }, options.map((one) => one.node)), place,
      el("div", { class: "lor-row end" }, L.button("Cancel", () => close(false)), go)];
  });

  // What was done to the folder's files, to be taken back or done again; and what is in its bin.
  L.doctorAfter = ({ changed }) => {
    const past = el("div", {}), bin = el("div", {});
    const STATES = { done: "", undone: "taken back", interrupted: "interrupted", running: "going on now" };
    const kept = (problems) => problems.length > 0 && L.dialog("Some files were left as they are", (close) => [L.problemList(problems.map((one) => ({ ...one, used: true }))),
      el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))]);
    const told = (reply, words) => { L.toast(`${L.counted(reply.changed, "file")} ${words}.`); kept(reply.kept); changed(); };
    const step = (id, what) => L.attempt(async () => told(await L.post("/api/doctor/past", { id, what }), what === "undo" ? "as before" : "done again"));
    const back = (keys) => L.attempt(async () => told(await L.post("/api/doctor/bin/back", { keys }), "put back"));
    const empty = async (things) => {
      if (!await L.confirm("Empty the bin?", `${L.counted(things.length, "thing")} in it, ${L.bytes(things.reduce((sum, one) => sum + one.bytes, 0))}, will be deleted for good. This can't be taken back.`, "Delete for good")) return;
      await L.attempt(async () => { const { deleted } = await L.post("/api/doctor/bin/empty"); L.toast(`${L.counted(deleted, "file")} deleted.`); refresh(); });
    };
    const entry = (one) => el("li", { class: "lor-file" }, el("span", { class: "lor-path" }, one.label), el("span", { class: "lor-note" }, [L.when(one.time), L.counted(one.files, "file"), STATES[one.state]].filter(Boolean).join(" · ")),
      one.state !== "running" && (one.state === "undone" ? L.button("Redo", () => step(one.id, "redo")) : L.button("Undo", () => step(one.id, "undo"))));
    const thing = (one) => el("figure", { role: "listitem" }, one.id ? L.thumb(one, () => L.enlarged({ ...one, text: one.path })) : el("div", { class: "lor-thumb lor-blind" }, "no picture to show"),
      el("figcaption", {}, el("span", { class: "lor-path" }, one.path), one.others.length > 0 && el("span", { class: "lor-note lor-path" }, `with ${one.others.join(", ")}`), L.button("Put back", () => back([one.key]))));
    const refresh = () => L.attempt(async () => {
      const [history, things] = await Promise.all([L.get("/api/doctor/past"), L.get("/api/doctor/bin")]);
      L.fill(past, history.length > 0 && el("details", { class: "lor-details", open: true }, el("summary", {}, "What was done"),
        el("p", { class: "lor-help" }, "Kept beside the pictures, also when the window is closed. What you have changed since is left as it is."), el("ul", { class: "lor-files" }, history.map(entry))));
      const open = bin.querySelector("details")?.open;
      L.fill(bin, things.length > 0 && el("details", { class: "lor-details", open: Boolean(open), id: "doctor-bin" }, el("summary", {}, `Bin: ${L.counted(things.length, "thing")}`),
        el("p", { class: "lor-help" }, "Not trained on. Put back, a picture is where it was, with its caption and masks."),
        el("div", { class: "lor-row" }, L.button("Put everything back", () => back(things.map((one) => one.key))), L.button("Empty the bin…", () => empty(things), "quiet")),
        el("div", { class: "lor-cases", role: "list", "aria-label": "Bin" }, things.slice(0, 200).map(thing)), things.length > 200 && el("p", { class: "lor-note" }, `and ${things.length - 200} more`)));
    });
    return { node: el("div", {}, past, bin), refresh, step };
  };
})();
