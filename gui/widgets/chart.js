// A curve on a canvas: lowest to highest of each stretch as a band, the smoothed value as a line, a readout under the pointer.
// `overlay`: several curves of different things, which are told apart by name and need not begin at zero. `whole`: a curve
// that does not grow, so that its last value is nothing to tell.
"use strict";
Loratory.chart = (title, { band = false, overlay = false, whole = false, total = 0 } = {}) => {
  const L = Loratory, { el } = L;
  const canvas = el("canvas", { role: "img", "aria-label": title, tabindex: "0" });
  const readout = el("span", { class: "lor-note lor-readout" });
  const logarithmic = el("input", { type: "checkbox", onchange: () => draw() });
  const table = el("table", { class: "lor-hidden" });
  let series = [], pointer = null, end = total, ends = null, unit = "step";

  const color = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();
  const COLORS = ["--lor-line-1", "--lor-line-2", "--lor-line-3", "--lor-line-4"];
  const height = (value) => (logarithmic.checked ? Math.log10(Math.max(value, 1e-12)) : value);
  const range = () => {
    const all = series.flatMap((one) => (band ? [...one.low, ...one.high] : one.mean)).filter((value) => value !== null && (!logarithmic.checked || value > 0));
    if (!all.length) return [0, 1];
    let low = Math.min(...all), high = Math.max(...all);
    if (band && all.length > 40 && !logarithmic.checked) {  // one spike must not flatten the rest
      const sorted = [...all].sort((a, b) => a - b);
      high = Math.min(high, sorted[Math.floor(0.98 * sorted.length)] * 1.5);
    }
    if (!band && !overlay && !logarithmic.checked) low = Math.min(0, low);
    if (low < high && !logarithmic.checked) high += 0.04 * (high - low);
    if (low === high) { high = low + (Math.abs(low) || 1) * 0.5; if (!logarithmic.checked) low = Math.min(0, low); else low /= 2; }
    return [height(low), height(high)];
  };
  const nice = (span, parts = 4) => {
    const rough = span / parts, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 2.5, 5, 10].map((n) => n * power).find((step) => step >= rough);
  };

  const draw = () => {
    if (!L.onTheme.includes(repaint)) L.onTheme.push(repaint);
    const width = canvas.clientWidth, tall = canvas.clientHeight, scale = devicePixelRatio || 1;
    if (!width || !tall) return;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(tall * scale)) canvas.height = Math.round(tall * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, tall);
    const [left, right, top, bottom] = [58, 10, 8, 22];
    const last = Math.max(end || 0, ...series.flatMap((one) => one.steps.slice(-1)), 1);
    const [low, high] = range();
    const x = (step) => left + ((width - left - right) * step) / last;
    const y = (value) => tall - bottom - ((tall - top - bottom) * (height(value) - low)) / (high - low || 1);
    ends = { x, last };
    pen.font = "12px system-ui, sans-serif";
    pen.lineWidth = 1;
    const grid = color("--lor-grid"), ink = color("--lor-ink");
    pen.textAlign = "right"; pen.textBaseline = "middle";
    const step = nice(high - low);
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) {
      const at = tall - bottom - ((tall - top - bottom) * (value - low)) / (high - low || 1);
      pen.strokeStyle = grid; pen.beginPath(); pen.moveTo(left, at); pen.lineTo(width - right, at); pen.stroke();
      pen.fillStyle = ink; pen.fillText(L.number(logarithmic.checked ? 10 ** value : Math.abs(value) < step / 1e6 ? 0 : value, 3), left - 6, at);
    }
    pen.textBaseline = "top";
    const stride = Math.max(1, nice(last, Math.min(4, Math.max(1, Math.floor((width - left - right) / 60)))));
    for (let value = 0; value <= last; value += stride) {
      pen.textAlign = value === 0 ? "left" : value + stride > last && last - value < stride / 5 ? "right" : "center";
      pen.fillStyle = ink; pen.fillText(value.toLocaleString("en"), x(value), tall - bottom + 6);
    }
    pen.save();
    pen.beginPath(); pen.rect(left, top - 2, width - left - right + 1, tall - top - bottom + 4); pen.clip();
    series.forEach((one, index) => {
      const ink = color(COLORS[index % COLORS.length]);
      if (band && one.steps.length > 1) {
        pen.fillStyle = ink; pen.globalAlpha = 0.22; pen.beginPath();
        const known = one.steps.map((_, i) => i).filter((i) => one.low[i] !== null);
        known.forEach((i, n) => (n ? pen.lineTo : pen.moveTo).call(pen, x(one.steps[i]), y(one.high[i])));
        known.reverse().forEach((i) => pen.lineTo(x(one.steps[i]), y(one.low[i]) + 1));
        pen.fill();
        pen.globalAlpha = known.length < 150 ? 0.4 : 0.12; pen.lineWidth = 1; pen.strokeStyle = ink; pen.stroke(); pen.globalAlpha = 1;
      }
      pen.strokeStyle = ink; pen.lineWidth = 2; pen.lineJoin = "round"; pen.beginPath();
      let down = false;
      one.steps.forEach((at, i) => {
        if (one.mean[i] === null) { down = false; return; }
        (down ? pen.lineTo : pen.moveTo).call(pen, x(at), y(one.mean[i])); down = true;
      });
      pen.stroke();
      for (const at of one.lost || []) { pen.fillStyle = color("--lor-bad"); pen.fillRect(x(at) - 1, top, 2, tall - top - bottom); }
    });
    pen.restore();
    if (pointer !== null && longest()?.steps.length) mark(pen, x, y, tall, top, bottom);
  };
  const longest = () => series.reduce((most, one) => ((one.steps.at(-1) || 0) > (most?.steps.at(-1) || 0) ? one : most), series[0]);
  const nearest = (steps, at) => {
    let best = 0;
    steps.forEach((step, i) => { if (Math.abs(step - at) < Math.abs(steps[best] - at)) best = i; });
    return best;
  };
  const mark = (pen, x, y, tall, top, bottom) => {
    const steps = longest().steps, at = steps[nearest(steps, pointer)];
    pen.strokeStyle = color("--lor-ink"); pen.globalAlpha = 0.5; pen.beginPath(); pen.moveTo(x(at), top); pen.lineTo(x(at), tall - bottom); pen.stroke(); pen.globalAlpha = 1;
    const words = series.map((one, index) => {
      if (!one.steps.length || at > one.steps.at(-1)) return null;  // it did not get that far
      const j = nearest(one.steps, at);
      if (one.mean[j] === null) return "not a number";
      pen.fillStyle = color(COLORS[index % COLORS.length]); pen.beginPath(); pen.arc(x(one.steps[j]), y(one.mean[j]), 3.5, 0, 7); pen.fill();
      return `${one.name ? `${one.name} ` : ""}${L.number(one.mean[j])}${band ? ` (${L.number(one.low[j], 3)} to ${L.number(one.high[j], 3)})` : ""}`;
    });
    readout.textContent = `${unit} ${at.toLocaleString("en")}: ${words.filter((word) => word !== null).join(", ")}`;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    pointer = ends ? ((event.clientX - box.left - 58) / (box.width - 68)) * ends.last : null;
    draw();
  });
  canvas.addEventListener("pointerleave", () => { pointer = null; say(); draw(); });
  canvas.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || !longest()?.steps.length) return;
    event.preventDefault();
    const steps = longest().steps, i = pointer === null ? steps.length - 1 : nearest(steps, pointer) + (event.key === "ArrowLeft" ? -1 : 1);
    pointer = steps[Math.min(steps.length - 1, Math.max(0, i))];
    draw();
  });
  const say = () => {
    if (pointer !== null) return;
    const named = (one, index) => one.name && [el("span", { class: `lor-swatch line-${(index % COLORS.length) + 1}`, "aria-hidden": "true" }), ` ${one.name} `];
    L.fill(readout, series.map((one, index) => one.mean.length > 0 && el("span", {}, named(one, index), whole ? "" : L.number(one.mean.at(-1)))));
  };
  const describe = () => {  // the same for those who can't see the canvas; a few rows are enough
    const steps = longest()?.steps;
    if (!steps?.length) return;
    const picks = [...new Set(Array.from({ length: 11 }, (_, n) => steps[Math.round((n * (steps.length - 1)) / 10)]))];
    const value = (one, at) => (!one.steps.length || at > one.steps.at(-1) ? "" : L.number(one.mean[nearest(one.steps, at)] ?? "not a number"));
    L.fill(table, el("caption", {}, title), el("tr", {}, el("th", {}, unit), series.map((one) => el("th", {}, one.name || title))),
      picks.map((at) => el("tr", {}, el("td", {}, String(at)), series.map((one) => el("td", {}, value(one, at))))));
  };
  new ResizeObserver(draw).observe(canvas);
  const repaint = () => {  // of a chart that was taken off the page nobody tells
    if (canvas.isConnected) draw();
    else L.onTheme.splice(L.onTheme.indexOf(repaint), 1);
  };
  return {
    node: el("figure", { class: "lor-chart" }, el("figcaption", { class: "lor-row" }, el("b", {}, title), readout,
      (band || overlay) && el("label", { class: "lor-row tight lor-note" }, logarithmic, "log scale")), canvas, table),
    show: (curves, until, along = "step") => { series = curves; end = until; unit = along; say(); describe(); draw(); },
  };
};
