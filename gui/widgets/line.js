// The line to the window is cut, or the window is started anew. Left to itself, Gradio would then load the page again, and
// what was typed would be gone. So its requests end here: when there is an answer again, it is told that this one failed,
// and nothing else. Forms say again what was typed (form.js); whoever pressed a button sees that it may not have arrived.
"use strict";
{
  const L = Loratory, plain = window.fetch.bind(window);
  const drawn = new URL(document.currentScript.src).search.slice(1);  // the page's version
  const DOWN = [502, 503, 504, 520, 521, 522, 523, 524];  // a proxy's word that there is nobody behind it
  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const version = async () => {
    try {
      const reply = await plain(L.at("/static/version"), { cache: "no-store" });
      return DOWN.includes(reply.status) ? "" : reply.ok ? (await reply.text()).trim() : "another";
    } catch { return ""; }
  };
  const mended = async () => {
    L.cut = true;
    L.connection(false);
    for (let pause = 1; ; pause = Math.min(10, pause * 1.5)) {
      const found = await version();
      if (found && found !== drawn) location.reload();  // another program by now, or somebody has to sign in again
      if (found) break;
      await wait(pause);
    }
    L.cut = false;
    L.connection(true);
  };
  const lost = "The connection was lost just then. What was typed is kept; if you pressed a button, see whether it was done.";
  window.fetch = async (request, options) => {
    let reply = null;
    try { reply = await plain(request, options); }
    catch (error) { if (!(error instanceof TypeError) || !ofGradio(request)) throw error; }
    if (!ofGradio(request) || (reply && !DOWN.includes(reply.status))) return reply;
    await mended();
    return new Response(JSON.stringify({ error: lost }), { status: 503, headers: { "content-type": "application/json" } });
  };
  const ofGradio = (request) => String(request.url ?? request).includes("/gradio_api/run/");
}
