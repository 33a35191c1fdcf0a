// Several pictures at once: the tags that all, some or none of them have, each given to all or taken from all by a click.
"use strict";
Loratory.tagSeveral = (desk) => {
  const L = Loratory, { el } = L;
  const SHOWN = 300;
  let tags = new Map(), names = new Map(), count = 0, timer, before = "";
  const newest = L.latest();
  const head = el("h3", {}), strip = el("div", { class: "lor-few", "aria-hidden": "true" }), more = el("p", { class: "lor-note" });
  const list = el("div", { class: "lor-chips", role: "group", "aria-label": "Tags of the chosen pictures" });
  const add = el("input", { class: "lor-input", placeholder: "Add a tag to all of them", "aria-label": "Add a tag to all chosen pictures" });
  const stars = el("select", { class: "lor-input short", "aria-label": "Stars for all of them", onchange: () => { if (stars.value !== "") mark({ stars: Number(stars.value) }); stars.value = ""; } },
    el("option", { value: "" }, "Stars…"), [0, 1, 2, 3, 4, 5].map((number) => el("option", { value: number }, number ? "★".repeat(number) : "none")));
  const node = el("div", { class: "lor-several", hidden: true }, head, strip,
    el("p", { class: "lor-help" }, "A click gives a tag to all of them, or takes it from all. Sentences are left as they are when a tag is taken."), list, more,
    L.suggest(add, L.suggestTags(desk), { take: () => { if (add.value.trim()) change("add", add.value.trim()); add.value = ""; } }),
    el("div", { class: "lor-row" }, stars, L.button("Exclude from training", () => mark({ excluded: true })), L.button("Train all of them", () => mark({ excluded: false }))));

  const numbers = () => desk.numbers("selected");
  const mark = async (values) => { await desk.flush(); const found = await L.attempt(() => desk.ask("mark", { numbers: numbers(), ...values })); if (found) { desk.lines.clear(); desk.emit("changed", null); } };
  const change = async (edit, tag) => {
    await desk.flush();
    const found = await L.attempt(() => desk.ask("apply", { edit, values: { tags: tag }, scope: "selected", numbers: numbers() }));
    if (!found) return;
    L.toast(L.written(found));
    await desk.look();
    await load();
  };
  const chip = (key) => {
    const some = tags.get(key) || 0, state = some === count ? "true" : some ? "mixed" : "false", name = names.get(key);
    return el("span", { class: `lor-tagchip ${state}` },
      el("button", { type: "button", role: "checkbox", "aria-checked": state, class: "lor-tagchip-name", onclick: () => change(state === "true" ? "remove" : "add", name), title: state === "true" ? "All have it: take it from all" : "Give it to all" },
        name, " ", el("span", { class: "lor-note" }, state === "true" ? "all" : some.toLocaleString("en"))),
      some > 0 && el("button", { type: "button", class: "lor-tagchip-x", "aria-label": `Take ${name} from all`, onclick: () => change("remove", name) }, "×"));
  };
  const load = async () => {
    if (desk.selection.size < 2) return;
    const chosen = numbers(), found = await newest(desk.ask("common", { numbers: chosen }));
    const now = chosen.length > 2000 ? `${chosen.length}:${chosen[0]}:${chosen.at(-1)}` : chosen.join();
    if (now !== before) names = new Map();  // what was taken from all stays in sight, to be given back, until others are chosen
    before = now;
    count = found.count;
    tags = new Map(found.rows.map(([key, , many]) => [key, many]));
    for (const [key, name] of found.rows.slice(0, SHOWN)) names.set(key, name);
    const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
    L.fill(list, [...names.keys()].map(chip));
    if (focused >= 0) list.children[Math.min(focused, list.children.length - 1)]?.querySelector("button")?.focus();
    more.textContent = found.rows.length > SHOWN ? `and ${(found.rows.length - SHOWN).toLocaleString("en")} more` : found.rows.length ? "" : "None of them has a tag.";
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(() => load().catch(() => {}), 60); };
  desk.addToAll = () => add.focus();
  desk.excludeAll = () => { const lines = numbers().map(desk.line).filter(Boolean); mark({ excluded: !lines.every((line) => line.excluded) }); };
  desk.on("selection", () => {
    node.hidden = desk.selection.size < 2;
    if (node.hidden) return;
    head.textContent = `${L.counted(desk.selection.size, "picture")} chosen`;
    L.fill(strip, [...desk.selection].slice(0, 8).map(desk.line).filter(Boolean).map((line) => el("img", { alt: "", src: `/api/pictures/${line.id}?side=64` })));
    soon();
  });
  desk.on("changed", () => { if (!node.hidden) soon(); });
  return node;
};
// What a bulk edit did, in words.
Loratory.written = ({ written, kept, problems }) => [`${Loratory.counted(written, "caption")} changed.`, kept > 0 && `${Loratory.counted(kept, "caption")} changed meanwhile and left as ${kept === 1 ? "it is" : "they are"}.`,
  problems?.length > 0 && `${problems[0].name}: ${problems[0].reason}.`].filter(Boolean).join(" ");
