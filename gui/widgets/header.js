// The top line of every page: whose window this is, what is running, and the switch between light and dark.
"use strict";
Loratory.header = (root) => {
  const L = Loratory, { el } = L;
  const running = el("div", { class: "lor-running", role: "status" });
  const themes = { system: "System", light: "Light", dark: "Dark" };
  const button = L.button("", () => {
    const names = Object.keys(themes);
    L.theme(names[(names.indexOf(L.theme()) + 1) % names.length]);
  }, "quiet");
  L.onTheme.push((name) => {
    button.textContent = `Theme: ${themes[name].toLowerCase()}`;
  });
  L.put(root, el("div", { class: "lor-header" },
    el("a", { class: "lor-mark", href: "/", "aria-label": "Loratory, start page" },
      el("img", { src: "/static/logo.svg", alt: "", width: 30, height: 30 }), el("span", {}, "Loratory")),
    running, el("div", { class: "lor-row tight" }, button,
      L.button("?", () => L.showShortcuts(), "quiet", { "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts" }))));
  L.theme(L.theme());
  // A room is entered at its top, however one got there.
  new MutationObserver((changes) => { if (changes.some(({ target }) => target.role === "tab" && target.ariaSelected === "true")) scrollTo(0, 0); })
    .observe(document.body, { subtree: true, attributeFilter: ["aria-selected"] });

  L.poll(root, 2, async () => {
    const runs = await L.get("/api/runs?live=true");
    const live = runs.filter((run) => run.state === "running"), waiting = runs.filter((run) => run.word === "waiting");
    L.fill(running, live.map((run) => el("button", { type: "button", class: "lor-chip running", onclick: () => L.openRun(run.id) },
      el("span", { class: "lor-dot" }), `${run.name}: `,
      run.total ? `${Math.floor((100 * run.step) / run.total)} %${run.eta ? `, ${L.duration(run.eta)} left` : ""}` : run.phase || "starting")),
    waiting.length > 0 && el("span", { class: "lor-note" }, `${waiting.length} waiting`));
    document.body.classList.toggle("lor-training", live.length > 0);
    document.title = live.length && live[0].total ? `${Math.floor((100 * live[0].step) / live[0].total)} % · Loratory` : "Loratory";
  });
};

// Light, dark or as the system has it; kept in this browser. Without an argument: what is chosen now.
Loratory.onTheme = [];
Loratory.theme = (name) => {
  const read = () => { try { return localStorage.getItem("loratory-theme") || "system"; } catch { return "system"; } };
  if (name === undefined) return read();
  try { localStorage.setItem("loratory-theme", name); } catch { /* a private window forgets it */ }
  const dark = name === "dark" || (name === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.body.classList.toggle("dark", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  for (const told of [...Loratory.onTheme]) told(name);
  return name;
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(() => Loratory.theme(Loratory.theme()), 0));
