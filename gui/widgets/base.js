// What all widgets use: making elements, talking to the server, polling, and words for numbers.
"use strict";
window.Loratory = (() => {
  const L = {};

  // el("p", {class: "note", onclick: f}, "text", otherElement): text is always text, never markup.
  L.el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "src" || name === "href") node.setAttribute(name, L.at(value));
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (["value", "checked", "disabled", "hidden", "open"].includes(name)) node[name] = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    L.put(node, ...children);
    return node;
  };
  L.put = (node, ...children) => {
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  L.fill = (node, ...children) => { node.replaceChildren(); return L.put(node, ...children); };

  // Where one of our addresses ("/api/runs") really is: a proxy may serve the window below a path such as /studio.
  const base = new URL(".", document.baseURI).pathname.slice(0, -1);
  L.at = (address) => (address.startsWith("/") && !address.startsWith(`${base}/`) ? base + address : address);

  L.mount = (name, element, gradio) => {
    const root = element.firstElementChild || element.appendChild(document.createElement("div"));
    L[name](root, { ...gradio, watch: inOrder(gradio) });
  };
  // What was worked out earlier and comes later is not news. (A minute: where the machine's clock was set back, it is.)
  const inOrder = ({ props, watch }) => {
    let kept = props.value;
    const late = () => props.value?.at < kept?.at && kept.at - props.value.at < 60;
    return (property, heard) => watch(property, () => {
      if (late()) { props.value = kept; return; }
      kept = props.value;
      heard();
    });
  };

  class Refused extends Error {}
  L.Refused = Refused;
  const request = async (url, options) => {
    const reply = await fetch(L.at(url), options);
    if (reply.status === 401) location.reload();
    const body = reply.headers.get("content-type")?.includes("json") ? await reply.json() : null;
    if (!reply.ok) throw Object.assign(new Refused(body?.detail || `The window answered ${reply.status}`), { status: reply.status, body });
    return body;
  };
  L.get = (url) => request(url, {});
  L.post = (url, body = {}) =>
    request(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

  // Questions asked one after the other: only the newest answer counts, however late an older one comes.
  // latest()(promise) resolves to its answer, or never if it was asked again meanwhile.
  L.latest = () => {
    let newest = 0;
    return async (answer) => {
      const mine = (newest += 1);
      const outdated = () => mine !== newest;
      try {
        const found = await answer;
        return outdated() ? new Promise(() => {}) : found;
      } catch (error) {
        if (outdated()) return new Promise(() => {});
        throw error;
      }
    };
  };

  // Calls `task` every `seconds` for as long as the element is in the page, and only while it can be seen. What is returned
  // asks for it now; asked while it is at work, it is done once more right after. A lost connection is waited out: the work
  // goes on without the window, so this is worth a quiet line and nothing more.
  let lost = 0;
  L.poll = (element, seconds, task) => {
    let timer, working = null, again = false;
    const visible = () => document.visibilityState === "visible" && element.getClientRects().length > 0;
    const work = async () => {
      do {
        again = false;
        try { await task(); lost = 0; }
        catch (error) { if (!(error instanceof Refused)) lost += 1; if (!(error instanceof TypeError)) console.warn(error); }
      } while (again && visible());
      L.connection(lost < 3 && !L.cut);
    };
    const turn = async () => {
      if (working) { again = true; return working; }
      clearTimeout(timer);
      if (!element.isConnected && turn.seen) return;
      turn.seen ||= element.isConnected;
      if (visible()) { await (working = work()); working = null; }
      timer = setTimeout(turn, 1000 * (visible() ? seconds * (lost > 3 ? 3 : 1) : 0.4));
    };
    setTimeout(turn, 0);
    return turn;
  };
  L.connection = (good) => {
    let banner = document.getElementById("lor-connection");
    if (good) { banner?.remove(); return; }
    if (banner) return;
    banner = L.el("div", { id: "lor-connection", role: "status" },
      "The window has lost its connection. Runs go on; trying again…");
    document.body.append(banner);
  };

  L.duration = (seconds) => {
    if (seconds === null || seconds === undefined || !isFinite(seconds)) return "–";
    const whole = Math.max(0, Math.round(seconds));
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
    return h ? `${h} h ${String(m).padStart(2, "0")} min` : m ? `${m} min ${String(s).padStart(2, "0")} s` : `${s} s`;
  };
  L.bytes = (n) => {
    const units = ["B", "KB", "MB", "GB"];
    let i = 0;
    while (n >= 1000 && i < 3) { n /= 1000; i += 1; }
    return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
  };
  L.number = (value, digits = 4) => {
    if (typeof value !== "number" || !isFinite(value)) return value === null || value === undefined ? "–" : String(value);
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(2).replace("e+", "e");
    return value.toLocaleString("en", { maximumSignificantDigits: digits });
  };
  L.when = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

  L.button = (label, onclick, kind = "", more = {}) =>
    L.el("button", { type: "button", class: `lor-button ${kind}`, onclick, ...more }, label);

  // A dialog that can be left with Escape; resolves to what `build(close)` closes it with.
  L.dialog = (title, build) => new Promise((resolve) => {
    const dialog = L.el("dialog", { class: "lor-dialog", "aria-label": title });
    let answer;
    const close = (value) => { answer = value; dialog.close(); };
    L.put(dialog, L.el("h2", {}, title), build(close, dialog));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    (document.querySelector(".gradio-container .contain") || document.body).append(dialog);  // where our style sheet counts
    dialog.showModal();
  });
  L.confirm = (title, text, action) => L.dialog(title, (close) => [
    L.el("p", {}, text),
    L.el("div", { class: "lor-row end" },
      L.button("Cancel", () => close(false)), L.button(action, () => close(true), "danger", { autofocus: true })),
  ]);

  L.toast = (text, bad = false) => {
    const toast = L.el("div", { class: `lor-toast${bad ? " bad" : ""}`, role: bad ? "alert" : "status" }, text);
    document.body.append(toast);
    setTimeout(() => toast.remove(), bad ? 9000 : 4000);
  };
  L.attempt = async (task) => {
    try { return await task(); } catch (error) { L.toast(error.message, true); return undefined; }
  };
  L.copy = async (text) => {
    try { await navigator.clipboard.writeText(text); L.toast("Copied."); }
    catch { L.toast("The browser did not allow copying; select the text instead.", true); }
  };
  // The folder that is open is the same on all pages: whoever opens another one says so, whoever shows it listens.
  L.opened = (path) => document.dispatchEvent(new CustomEvent("lor-opened", { detail: path }));
  L.onOpened = (task) => {
    document.addEventListener("lor-opened", (event) => task(event.detail));
    L.attempt(async () => { const { path } = await L.get("/api/dataset/folder"); if (path) task(path); });
  };
  // A room is drawn when it is first opened, and some frames later Gradio puts all that it was drawn with into it once more:
  // what somebody did meanwhile would be lost. So nothing can be done in it until then, which shows by the label coming back.
  L.untilSettled = (root, props, watch) => {
    const room = root.closest("[role=tabpanel]");
    if (!room) return;
    const busy = (yes) => { room.inert = yes; yes ? room.setAttribute("aria-disabled", "true") : room.removeAttribute("aria-disabled"); };
    busy(true);
    const last = setTimeout(() => busy(false), 3000);  // if it ever does so no more
    watch("label", () => setTimeout(() => { clearTimeout(last); busy(false); }, 0));
    props.label = "drawn";
  };
  L.openPage = (name) => { L.openTab("dataset"); document.getElementById(`page-${name}-button`)?.click(); };
  L.openTab = (name) => document.getElementById(`tab-${name}-button`)?.click();
  return L;
})();
