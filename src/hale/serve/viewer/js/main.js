// One page, hash routes. Every page is a module with `show(main, parts)`; it returns what to stop.

import { fill, h } from "./dom.js";
import { startKeys } from "./keyboard.js";
import { mayLeave, startGuard } from "./leaving.js";
import { startTheme } from "./theme.js";

const PAGES = {
  "": () => import("./home.js"),
  result: () => import("./result.js"),
  compare: () => import("./compare.js"),
  bench: () => import("./bench.js"),
};

let stop = null;
let turn = 0;
let here = location.hash;

async function route() {
  const mine = ++turn;
  delete document.body.dataset.ready;
  const [name = "", ...parts] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const main = document.getElementById("main");
  stop?.();
  stop = null;
  document.getElementById("where").textContent = "";
  main.className = name || "home";
  fill(main, h("p", { class: "empty page" }, "One moment …"));
  try {
    const page = await (PAGES[name] ?? PAGES[""])();
    if (mine !== turn) return;
    const ended = await page.show(main, parts);
    if (mine !== turn) ended?.();
    else stop = ended;
  } catch (problem) {
    if (mine !== turn) return;
    fill(main, h("div", { class: "page" }, h("h1", {}, "This did not work"),
      h("div", { class: "banner bad", role: "alert" }, problem.message),
      h("p", {}, h("a", { href: "#/" }, "Back to all results"))));
    if (problem.constructor === Error || problem instanceof TypeError) console.error(problem);
  }
  document.body.dataset.ready = location.hash || "#/";
}

startTheme();
startKeys();
startGuard();
addEventListener("hashchange", () => {
  if (location.hash === here) return;
  const skips = location.hash === "#main"; // the link to the content is of no other page
  if (skips || !mayLeave()) history.replaceState(null, "", here || "#/");
  else {
    here = location.hash;
    route();
  }
  document.getElementById("main").focus();
});
route();
