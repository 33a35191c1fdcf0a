// What a LoRA changes, block by block: after a run, and of any file in the LoRA tools.
"use strict";
Loratory.coverage = (report) => {
  const L = Loratory, { el } = L;
  const NAMES = { denoiser: "Denoiser", text_encoder: "Text encoder", text_encoder_2: "Second text encoder" };
  const values = (counted) => Object.entries(counted).map(([value, count], _, all) => (all.length === 1 ? value : `${value} (${count})`)).join(", ");
  const KINDS = { dora: "DoRA", loha: "LoHa", lokr: "LoKr", oft: "OFT" };
  // Plain LoRAs are not named, and reports of earlier versions knew no others.
  const others = (one) => Object.keys(one.adapters || {}).filter((kind) => KINDS[kind]).map((kind) => ` of ${KINDS[kind]}`).join(" and");
  const part = (one) => {
    const most = Math.max(...one.blocks.map((block) => block.norm), 1e-30);
    const row = (block) => el("tr", {}, el("td", { class: "lor-path" }, block.name), el("td", {}, block.layers),
      el("td", {}, block.norm !== null && el("meter", { class: "lor-coverage", min: 0, max: most, value: block.norm, "aria-label": `Change of ${block.name}` }), " ", L.number(block.norm, 3)),
      el("td", {}, block.kinds.join(", "), block.zero > 0 && el("span", { class: "lor-warning block" }, `${block.zero} never moved`)));
    return el("details", { class: "lor-details" },
      el("summary", {}, el("b", {}, NAMES[one.part] || one.part), `: ${L.counted(one.layers, "layer")}${others(one)}, rank ${values(one.ranks)}, alpha ${values(one.alphas)}, change ${one.norm === null ? "not known without the base model" : L.number(one.norm, 3)}`,
        one.zero.length > 0 && el("span", { class: "lor-warning block" }, `${L.counted(one.zero.length, "layer")} never moved`)),
      el("div", { class: "lor-scroll", tabindex: "0", role: "region", "aria-label": `Blocks of the ${NAMES[one.part] || one.part}` }, el("table", { class: "lor-table" },
        el("thead", {}, el("tr", {}, ["Block", "Layers", "Change", "What"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, one.blocks.map(row)))),
      one.zero.length > 0 && el("details", {}, el("summary", {}, "Layers that never moved"), el("p", { class: "lor-path" }, one.zero.join(", "))));
  };
  return report.parts.map(part);
};

// Of a run that has ended: `refresh(run)` looks once for each way in which it ends.
Loratory.runCoverage = (base) => {
  const L = Loratory, { el } = L;
  const node = el("div", {});
  let seen = "";
  const refresh = async (run) => {
    const now = ["finished", "stopped"].includes(run.state) && run.kind === "train" ? `${run.state}/${run.step}` : "";
    if (now === seen) return;
    seen = now;
    const report = now ? await L.get(`${base}/coverage`) : { parts: [] };
    L.fill(node, report.parts.length > 0 && el("div", { class: "lor-card" }, el("h3", {}, "What was learnt where"),
      el("p", { class: "lor-help" }, "How much the weights of each block change (Frobenius norm), and layers that were trained and never moved."), L.coverage(report)));
  };
  return { node, refresh };
};
