// Who corrects: asked once, kept in this browser, written beside every correction.

import { fill, h } from "./dom.js";

const KEPT = "hale-reader";

export const reader = () => localStorage.getItem(KEPT) ?? "";

// Return the reader's name; ask where it is not known. Empty if the reader would not say.
export function whoIs(askAgain = false) {
  if (reader() && !askAgain) return Promise.resolve(reader());
  const name = h("input", { type: "text", id: "who", value: reader(), maxlength: 80, autocomplete: "name", required: true });
  const dialog = h("dialog", { class: "who", "aria-labelledby": "who-title" });
  const form = h("form", { method: "dialog" });
  fill(form, h("h2", { id: "who-title" }, "Who reads?"),
    h("p", { class: "quiet" }, "Written beside each correction, with the time. Kept in this browser only."),
    h("label", { class: "field", for: "who" }, h("span", {}, "Name or initials"), name),
    h("div", { class: "line" }, h("button", { type: "submit", class: "primary" }, "Keep"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Not now")));
  dialog.append(form);
  document.body.append(dialog);
  return new Promise((done) => {
    form.addEventListener("submit", () => localStorage.setItem(KEPT, name.value.trim()));
    dialog.addEventListener("close", () => { dialog.remove(); done(reader()); });
    dialog.showModal();
  });
}
