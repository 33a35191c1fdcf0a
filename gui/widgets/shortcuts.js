// Keys that work everywhere except while typing (those with Ctrl work there too).
"use strict";
(() => {
  const L = Loratory, { el } = L;
  const visible = (id) => { const node = document.getElementById(id); return node && node.getClientRects().length > 0 ? node : null; };
  const whenUsable = (id, task, tries = 200) => { const node = visible(id); if (node && !node.closest("[inert]")) task(node); else if (tries) setTimeout(() => whenUsable(id, task, tries - 1), 50); };
  const KEYS = [
    ["?", "This list", () => L.showShortcuts()],
    ["1 … 9", "The rooms, from left to right", null],
    ["/", "Find a setting", () => { const here = ["train", "captions"].find((form) => visible(`${form}-search`)); if (!here) L.openTab("train"); whenUsable(`${here || "train"}-search`, (search) => search.focus()); }],
    ["Ctrl + Enter", "Start captioning or training (in Captions, in LoRA training)", null],
    ["Arrow keys", "Step through the pictures of a data set, and through samples", null],
    ["Esc", "Leave a dialog", null],
  ];
  const listed = (keys) => el("dl", { class: "lor-keys" }, keys.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]));
  L.shortcuts = () => listed(KEYS);
  // Rooms add theirs: L.moreKeys = [[title, [[key, what], ...]], ...].
  L.showShortcuts = () => L.dialog("Keyboard shortcuts", (close) => [L.shortcuts(), (L.moreKeys || []).map(([title, keys]) => [el("h3", {}, title), listed(keys)]),
    el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))]);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const start = visible("train-start") || visible("captions-start");
      if (start) { event.preventDefault(); document.activeElement?.blur(); setTimeout(() => start.click(), 50); }
      return;
    }
    // A dialog that was just closed still has the focus until the page is drawn anew: who presses a key then is not in it.
    const inside = event.target.closest?.("dialog:not([open])") ? document.body : event.target;
    const typing = inside.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, dialog, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-9]$/.test(event.key)) {
      document.querySelectorAll("#tabs [role=tab][id^=tab-]")[Number(event.key) - 1]?.click();
      return;
    }
    const known = KEYS.find(([key]) => key === event.key);
    if (known?.[2]) { event.preventDefault(); known[2](); }
  });
})();
