// Sentences from the program, as text: one that stays, and one that comes up for some seconds.
"use strict";
Loratory.note = (root, { props, watch }) => {
  const draw = () => Loratory.fill(root, Loratory.el("p", { class: "lor-help" }, props.value || ""));
  watch("value", draw);
  draw();
};

Loratory.notice = (root, { props, watch }) => watch("value", () => {
  if (props.value?.text) Loratory.toast(props.value.text, props.value.bad);
});
