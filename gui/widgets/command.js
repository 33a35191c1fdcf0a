// The settings as a file, and the commands that do the same without the window.
"use strict";
Loratory.command = (root, { props, watch }) => {
  const L = Loratory, { el } = L;
  const line = (label, text) => [el("p", { class: "lor-label" }, label), el("pre", { class: "lor-log short", tabindex: "0" }, text),
    L.button("Copy command", () => L.copy(text), "quiet")];
  watch("value", () => {
    const shown = props.value;
    if (!shown?.toml) return;
    L.dialog(shown.run ? "Caption without the window" : "Train without the window", (close) => [
      shown.run ? line("Command", shown.run) : [el("p", { class: "lor-help" }, "Save the settings as a file, then:"), line("Command", `python launch.py train ${shown.file}`),
        line("What that starts, once the job's folder JOB is made", shown.accelerate)],
      el("p", { class: "lor-label" }, shown.file), el("pre", { class: "lor-log", tabindex: "0" }, shown.toml),
      el("div", { class: "lor-row end" }, L.button("Copy settings", () => L.copy(shown.toml)), L.button("Save the file", () => {
        const link = el("a", { href: URL.createObjectURL(new Blob([shown.toml], { type: "text/plain" })), download: shown.file });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      }), L.button("Close", () => close(), "primary", { autofocus: true })),
    ]);
  });
};
