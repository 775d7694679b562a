// All keys in one place: what they do, the list that ? shows, and a switch to turn letters off.

import { fill, h } from "./dom.js";

const KEPT = "hale-letters";
const GROUPS = {
  "Move": [["↑ ↓ ← →", "crosshair in the plane"], ["PgUp PgDn", "slice up, down"], ["Home End", "ten slices up, down"], ["+ −", "closer, farther"],
    ["0", "whole picture, first window"], ["n  p", "next, previous lesion"]],
  "Look": [["1 2 3", "axial, coronal, sagittal"], ["4  5", "all planes, 3-D"], ["c", "next contrast"], ["x", "side by side"],
    ["s  b", "swipe, blink with pseudo-healthy"], ["a v m h", "anomaly, p-map, mask, pseudo-healthy"], ["o", "the scan alone"], [", .", "darker, brighter"], ["< >", "less, more contrast"], ["[  ]", "threshold down, up"]],
  "Correct": [["y  r", "accept, reject the lesion"], ["d  e  l", "brush, erase, look"], ["Space", "paint or erase at the crosshair"], ["Ctrl Z", "undo"]],
  "Mouse": [["drag", "crosshair"], ["right drag", "window"], ["Shift drag", "pan"], ["wheel", "slices"], ["Ctrl wheel", "closer, farther"]],
};

let actions = {};

// Give the page's keys: {key: work}; null takes them away.
export function setKeys(work) {
  actions = work ?? {};
}

const lettersOn = () => localStorage.getItem(KEPT) !== "off";

export function startKeys() {
  const dialog = document.getElementById("keys");
  const letters = h("input", { type: "checkbox", checked: lettersOn(), onchange: () => localStorage.setItem(KEPT, letters.checked ? "on" : "off") });
  fill(dialog, h("h1", { id: "keys-title" }, "Keys"),
    h("div", { class: "keys-grid" }, Object.entries(GROUPS).map(([title, keys]) => h("section", {}, h("h2", {}, title),
      h("dl", {}, keys.map(([key, what]) => [h("dt", {}, key.split(/ +/).map((one) => [h("kbd", {}, one), " "])), h("dd", {}, what)]))))),
    h("label", { class: "check" }, letters, h("span", {}, "Single letters and digits are keys")),
    h("p", {}), h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close"));
  document.getElementById("show-keys").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", pressed, { capture: true });
}

function pressed(event) {
  if (document.querySelector("dialog[open]") || isWriting(event.target)) return;
  const onCanvas = event.target.tagName === "CANVAS";
  const name = (event.ctrlKey || event.metaKey ? "Ctrl " : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  const single = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey;
  const arrowElsewhere = !onCanvas && event.target !== document.body && event.target.id !== "main";
  if (event.altKey || (single && !lettersOn())) return;
  if (name === "?") {
    event.preventDefault();
    document.getElementById("show-keys").click();
    return;
  }
  if (!single && !name.startsWith("Ctrl") && arrowElsewhere) return; // a button's Space, a list's arrows
  const work = actions[name];
  if (work && work(event) !== false) {
    event.preventDefault();
    event.stopImmediatePropagation();
  } else if (onCanvas && event.key !== "Tab") event.stopImmediatePropagation(); // NiiVue has keys of its own
}

function isWriting(target) {
  const isText = target.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=range])");
  return isText || target.isContentEditable;
}
