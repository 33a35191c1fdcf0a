// The end of a growing log: asks for what is new by byte offset, keeps 2,000 lines, follows the end unless you scroll up.
"use strict";
Loratory.log = (source, download) => {
  const L = Loratory, { el } = L;
  const MOST = 2000;
  let offset = -1;
  const lines = el("div", { class: "lor-log", role: "log", "aria-label": "Log", tabindex: "0" });
  const search = el("input", { type: "search", class: "lor-input", placeholder: "Search the log", "aria-label": "Search the log", oninput: () => filter() });
  const note = el("span", { class: "lor-note", role: "status" });
  const filter = () => {
    const sought = search.value.toLowerCase();
    let hits = 0;
    for (const line of lines.children) {
      const hit = !sought || line.textContent.toLowerCase().includes(sought);
      line.hidden = !hit;
      hits += hit;
    }
    note.textContent = sought ? `${hits} lines` : "";
  };
  const refresh = async () => {
    const news = await L.get(`${source}?offset=${offset}`);
    if (news.reset && offset !== -1) lines.replaceChildren();
    offset = news.offset;
    if (!news.lines.length) return;
    const following = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    lines.append(...news.lines.map((line) => el("div", {}, line)));
    while (lines.childElementCount > MOST) lines.firstElementChild.remove();
    if (search.value) filter();
    if (following) lines.scrollTop = lines.scrollHeight;
  };
  return { node: el("div", {}, el("div", { class: "lor-row" }, search, note,
    el("a", { class: "lor-button", href: download, download: "" }, "Download the log")), lines), refresh };
};
