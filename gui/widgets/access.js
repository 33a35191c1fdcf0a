// In the Settings tab: tokens for the jobs, which never come back from where they are kept, and who is signed in.
"use strict";
Loratory.accessCards = (card) => {
  const L = Loratory, { el } = L;
  const tokens = el("div", { class: "lor-secrets" }), people = el("div", { class: "lor-sessions" });
  const states = (one) => (one.saved ? "saved ✓" : one.environment ? "set in the environment" : "not set");
  const field = (one) => {
    const input = el("input", { type: "password", class: "lor-input", id: `token-${one.name}`, autocomplete: "off", spellcheck: "false",
      placeholder: one.saved ? "Saved. Paste another one to replace it" : "Paste it here" });
    const keep = async () => {
      const value = input.value;
      input.value = "";  // whatever comes of it: it stands nowhere on the page any more
      if (!value.trim()) return;
      const found = await L.attempt(() => L.post("/api/access/secrets", { name: one.name, value }));
      if (found) { L.toast("Saved. Jobs that start from now on use it."); show(found); }
    };
    const forget = async () => {
      const found = await L.attempt(() => L.post("/api/access/secrets/remove", { name: one.name }));
      if (found) { L.toast("Removed."); show(found); }
    };
    return el("form", { class: "lor-secret", onsubmit: (event) => { event.preventDefault(); keep(); } },
      el("label", { for: input.id }, `${one.name} `, el("span", { class: "lor-note" }, states(one))), el("p", { class: "lor-help" }, one.about),
      el("div", { class: "lor-row" }, input, L.button("Save", keep), one.saved && L.button("Remove", forget, "quiet", { "aria-label": `Remove ${one.name}` })));
  };
  const show = (found) => L.fill(tokens, found.map(field));
  const signOut = async () => { await L.attempt(() => fetch(L.at("/logout"), { method: "POST" })); location.reload(); };
  const end = (id) => L.attempt(async () => list((await L.post("/api/access/sessions/end", { id })).sessions));
  const list = (sessions) => L.fill(people, el("div", {}, sessions.map((one) => el("p", { class: "lor-row" },
    el("span", {}, `Signed in ${L.when(one.began)}${one.mine ? ", this browser" : ""}`), !one.mine && L.button("Sign out", () => end(one.id), "quiet")))),
  el("div", { class: "lor-row" }, L.button("Sign out", signOut), sessions.length > 1 && L.button("Sign out all others", () => end(""), "quiet")));
  L.attempt(async () => {
    const found = await L.get("/api/access");
    show(found.secrets);
    if (found.login) list(found.sessions);
    else L.fill(people, el("p", { class: "lor-note" }, "Only programs on this machine can reach this window, so nobody signs in."));
  });
  return [
    card("Tokens", el("p", { class: "lor-help" }, "Kept in a file of the workspace that only your user can read, and given to jobs in their environment. They are in no setting, preset, log or command."), tokens),
    card("Signed in", people),
  ];
};
