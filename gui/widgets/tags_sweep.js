// One tag, picture after picture, by the keys Y and N: everything that was answered becomes one change in the end.
"use strict";
Loratory.tagSweep = async (desk, tag = "") => {
  const L = Loratory, { el } = L;
  const PREFIX = "loratory-sweep-", AHEAD = 3;
  await desk.flush?.();

  // What was answered is kept in this browser, for a page that is left in the middle.
  const place = (tag) => `${PREFIX}${desk.album.root}\n${tag.trim().toLowerCase()}`;
  const earlier = (tag) => { try { return JSON.parse(localStorage.getItem(place(tag))) || {}; } catch { return {}; } };
  const remember = (tag, answers) => { try { if (Object.keys(answers).length) localStorage.setItem(place(tag), JSON.stringify(answers)); else localStorage.removeItem(place(tag)); } catch { /* full, or forbidden */ } };

  const asked = await L.dialog("Sweep one tag", (close) => {
    const many = { filtered: desk.order.length, selected: desk.selection.size };
    const field = el("input", { class: "lor-input", id: "lor-sweep-tag", value: tag, placeholder: "long hair" });
    const scope = el("select", { class: "lor-input", id: "lor-sweep-scope" }, [["filtered", "Shown"], ["selected", "Chosen"]].filter(([value]) => many[value] > (value === "selected" ? 1 : 0)).map(([value, word]) =>
      el("option", { value, selected: value === "selected" && many.selected > 1 }, `${word}: ${L.counted(many[value], "picture")}`)));
    const which = el("select", { class: "lor-input", id: "lor-sweep-which" }, [["all", "All of them"], ["without", "Those without the tag"], ["with", "Those with it"]].map(([value, word]) => el("option", { value }, word)));
    const where = el("select", { class: "lor-input", id: "lor-sweep-where" }, [["last", "Behind the other tags"], ["first", "In front of the other tags"]].map(([value, word]) => el("option", { value }, word)));
    const go = () => { if (field.value.trim() && !field.value.includes(desk.album.separator.trim() || ",")) close({ tag: field.value.trim(), scope: scope.value, which: which.value, where: where.value }); else field.focus(); };
    setTimeout(() => { field.focus(); field.select(); });
    return [el("p", { class: "lor-help" }, "Each picture is shown large, and you say whether it has the tag: Y for yes, N for no. Nothing is written before the end; then it is one change that can be undone."),
      el("label", { class: "lor-label", for: "lor-sweep-tag" }, "Tag"), L.suggest(field, L.suggestTags(desk), { take: (chosen) => { if (!chosen) go(); } }),
      el("label", { class: "lor-label", for: "lor-sweep-scope" }, "Pictures"), scope, el("label", { class: "lor-label", for: "lor-sweep-which" }, "Of these"), which,
      el("label", { class: "lor-label", for: "lor-sweep-where" }, "Where a new tag goes"), where,
      el("div", { class: "lor-row end" }, L.button("Cancel", () => close()), L.button("Start", go, "primary"))];
  });
  if (!asked) return;
  const all = desk.numbers(asked.scope);
  const found = await L.attempt(() => desk.ask("having", { tag: asked.tag, numbers: all }));
  if (!found) return;
  asked.tag = found.tag;
  const having = new Set(found.numbers);
  const numbers = all.filter((number) => asked.which === "all" || having.has(number) === (asked.which === "with"));
  if (!numbers.length) { L.toast(asked.which === "with" ? "None of them has it." : "All of them have it."); return; }

  const lines = new Map(), answers = {}, before = earlier(asked.tag);
  const fetch = async (from) => {
    const wanted = numbers.slice(Math.max(0, from - AHEAD), from + 60).filter((number) => !lines.has(number));
    if (wanted.length) for (const line of (await desk.ask("lines", { numbers: wanted })).lines) lines.set(line.number, line);
  };
  if (!(await L.attempt(async () => { await fetch(0); return true; }))) return;

  const finished = await L.dialog(`Sweep: ${asked.tag}`, (close, dialog) => {
    dialog.classList.add("lor-sweep");
    let at = 0, ending = false;
    const image = el("img", { class: "lor-sweep-image", alt: "" }), state = el("span", { class: "lor-sweep-state" }), name = el("span", { class: "lor-path" }), caption = el("p", { class: "lor-said" });
    const bar = el("span", {}), track = el("span", { class: "lor-progress", role: "progressbar", "aria-label": "Pictures looked at", "aria-valuemin": 0, "aria-valuemax": numbers.length }, bar), told = el("span", { class: "lor-note lor-whole", role: "status" });
    const line = () => lines.get(numbers[at]);
    const counts = () => { const said = Object.values(answers); return [said.filter((one) => one === "yes").length, said.filter((one) => one === "no").length]; };
    const yes = L.button("Yes (Y)", () => answer("yes"), "lor-yes"), no = L.button("No (N)", () => answer("no"), "lor-no");
    const stage = el("div", { class: "lor-sweep-stage", tabindex: "-1" }, image);
    const end = el("div", { class: "lor-sweep-end", hidden: true });
    const buttons = el("div", { class: "lor-row center" }, L.button("‹", () => move(-1), "quiet", { "aria-label": "Back" }), yes, no, L.button("As it is (Space)", () => answer(null)), L.button("›", () => move(1), "quiet", { "aria-label": "On" }), L.button("Finish", () => finish(), ""));
    const words = (text) => {  // the tag itself is marked in the caption
      const wanted = asked.tag.toLowerCase(), low = text.toLowerCase().replaceAll("_", " "), from = low.indexOf(wanted.replaceAll("_", " "));
      return from < 0 ? text || "no caption" : [text.slice(0, from), el("mark", {}, text.slice(from, from + wanted.length)), text.slice(from + wanted.length)];
    };
    const draw = () => {
      const now = line();
      end.hidden = !ending; stage.hidden = buttons.hidden = ending;
      for (const node of [state, name, caption]) node.hidden = ending;
      const [gets, loses] = counts(), gone = ending ? numbers.length : at;
      bar.style.width = `${(100 * gone) / numbers.length}%`;
      track.setAttribute("aria-valuenow", gone);
      told.textContent = `${ending ? "" : `${(at + 1).toLocaleString("en")} of `}${numbers.length.toLocaleString("en")} · ${gets} yes · ${loses} no`;
      if (ending || !now) return;
      const src = L.at(`/api/pictures/${now.id}?side=768`);
      if (image.getAttribute("src") !== src) { image.src = src; image.alt = now.name; }
      const said = answers[now.id];
      yes.setAttribute("aria-pressed", said === "yes"); no.setAttribute("aria-pressed", said === "no");
      const has = having.has(now.number);
      state.textContent = said ? `${said === "yes" ? "Yes" : "No"}: ${said === "yes" ? (has ? "keeps it" : "gets it") : has ? (now.prose ? "its sentence keeps the words" : "loses it") : "stays without"}` : has ? "Has it" : "Hasn't it";
      state.className = `lor-sweep-state ${said || ""}`;
      name.textContent = now.name;
      L.fill(caption, words(now.text));
      for (const number of numbers.slice(at + 1, at + 1 + AHEAD)) if (lines.has(number)) new Image().src = L.at(`/api/pictures/${lines.get(number).id}?side=768`);
    };
    const move = async (step) => {
      if (ending) { if (step < 0) { ending = false; draw(); stage.focus(); } return; }
      if (at + step >= numbers.length) { finish(); return; }
      at = Math.max(0, at + step);
      draw();
      const wanting = numbers.slice(at, at + 20).some((number) => !lines.has(number));
      if (wanting && (await L.attempt(async () => { await fetch(at); return true; }))) draw();
    };
    const answer = (said) => {
      const now = line();
      if (!now || ending) return;
      if (said) answers[now.id] = said; else delete answers[now.id];
      remember(asked.tag, answers);
      move(1);
    };
    const finish = () => {
      ending = true;
      const [gets, loses] = counts();
      const really = { yes: 0, no: 0 };
      for (const [number, one] of lines) if (answers[one.id] === "yes" && !having.has(number)) really.yes += 1; else if (answers[one.id] === "no" && having.has(number) && !one.prose) really.no += 1;
      const nothing = !really.yes && !really.no;
      const write = L.button(nothing ? "Close" : `Write ${L.counted(really.yes + really.no, "caption")}`, () => { if (nothing) { remember(asked.tag, {}); close(null); } else close("write"); }, "primary");
      L.fill(end, el("h3", {}, `${L.counted(gets + loses, "answer")} for ${L.counted(numbers.length, "picture")}`),
        el("p", {}, `${L.counted(really.yes, "picture")} ${really.yes === 1 ? "gets" : "get"} "${asked.tag}", ${really.no.toLocaleString("en")} ${really.no === 1 ? "loses" : "lose"} it; the others stay as they are.`),
        el("div", { class: "lor-row center" }, L.button("Go on", () => { ending = false; draw(); stage.focus(); }), gets + loses > 0 && L.button("Forget the answers", () => { remember(asked.tag, {}); close(null); }, "quiet"), write));
      draw();
      write.focus();
    };
    const KEYS = { y: () => answer("yes"), n: () => answer("no"), " ": () => answer(null), arrowright: () => move(1), arrowleft: () => move(-1), arrowdown: () => move(1), arrowup: () => move(-1), backspace: () => move(-1) };
    dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape" && !ending) { event.preventDefault(); event.stopPropagation(); finish(); return; }
      const act = KEYS[event.key.toLowerCase()];
      if (!act || (ending && event.key === " ")) return;
      event.preventDefault();
      act();
    });
    dialog.addEventListener("cancel", (event) => { if (!ending) { event.preventDefault(); finish(); } });
    const resumed = numbers.filter((number) => lines.has(number) && before[lines.get(number).id]).length;
    if (Object.keys(before).length) {
      Object.assign(answers, before);
      at = Math.min(resumed, numbers.length - 1);
      L.toast(`${L.counted(Object.keys(before).length, "answer")} from before ${Object.keys(before).length === 1 ? "is" : "are"} still there.`);
    }
    draw();
    setTimeout(() => stage.focus());
    return [el("div", { class: "lor-row tight" }, told, el("span", { class: "grow" }, track)), stage, el("div", { class: "lor-row" }, state, name), caption, buttons, end];
  });
  if (finished !== "write") return;
  const ids = (said) => Object.entries(answers).filter(([, one]) => one === said).map(([id]) => id);
  const done = await L.attempt(() => desk.ask("sweep", { tag: asked.tag, where: asked.where, yes: ids("yes"), no: ids("no") }));
  if (!done) return;  // the answers are still kept
  remember(asked.tag, {});
  await desk.refresh();
  L.offerUndo(desk, `Sweep of ${asked.tag}: ${L.written(done)}${done.sentences ? ` ${L.counted(done.sentences, "sentence")} left as they are.` : ""}`);
};
(Loratory.tagTools ||= []).push((desk) => {
  const L = Loratory;
  desk.sweep = (tag) => L.tagSweep(desk, tag);
  desk.toolbar.append(L.button("Sweep…", () => desk.sweep(), "", { title: "One tag, yes or no, picture by picture (S)", id: "tags-sweep" }));
  L.tagKey("s", () => desk.sweep(), desk);
});
