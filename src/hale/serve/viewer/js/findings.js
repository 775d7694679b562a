// The lesions: which the calibration keeps, which a threshold would form; go there, accept, reject.

import { put } from "./api.js";
import { fill, h, say } from "./dom.js";
import { whoIs } from "./who.js";
import { count, figure, position, pValue, volume } from "./words.js";

const SHOWN = 100;

// What p is worth at a threshold that was moved.
function chance(found, holds) {
  if (found.every(({ p }) => typeof p !== "number")) return "p is not known at this threshold.";
  return `p: of this threshold alone, chosen after looking, so no promise of few false alarms${holds ? "." : "; not valid here."}`;
}

export class Findings {
  // `kept` are the lesions of the mask (null without a calibration), `go` takes a position in mm.
  constructor({ id, kept, holds, review, go, verdicts }) {
    Object.assign(this, { id, kept, holds, go, told: verdicts, formed: null, at: -1 });
    this.verdicts = Object.fromEntries(Object.entries(review?.lesions ?? {}).map(([label, said]) => [label, said.verdict ?? said]));
    this.body = h("tbody");
    this.head = h("p", { class: "small quiet" });
    this.chance = h("th", { scope: "col" }, "p");
    this.decide = h("th", { scope: "col" }, "Verdict");
    this.element = h("div", { class: "findings" }, this.head,
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of lesions" },
        h("table", {}, h("thead", {}, h("tr", {}, ["No.", "Volume", "Peak"].map((title) => h("th", { scope: "col" }, title)), this.chance, this.decide)), this.body)));
    this.draw();
  }

  get lesions() {
    return this.formed ?? this.kept ?? [];
  }

  // Show what a threshold forms; null: what the calibration keeps.
  form(lesions, all = 0) {
    Object.assign(this, { formed: lesions, all });
    this.at = Math.min(this.at, this.lesions.length - 1);
    this.draw();
  }

  draw() {
    const calibrated = !this.formed && this.kept !== null;
    this.decide.hidden = !calibrated;
    this.chance.hidden = this.kept === null;
    const found = this.lesions;
    this.head.textContent = calibrated
      ? found.length ? `${count(found.length, "component")}, heaviest first. p: chance of one as heavy anywhere in a healthy scan${this.holds ? "." : "; not valid here."}` : "No component is kept."
      : found.length ? `${count(this.all, "region")} at this threshold, heaviest first${this.all > SHOWN ? `; the first ${SHOWN}` : ""}.${this.kept === null ? "" : ` ${chance(found, this.holds)}`}` : "No region at this threshold.";
    fill(this.body, found.slice(0, SHOWN).map((lesion, index) => this.line(lesion, index, calibrated)));
    this.body.parentElement.hidden = !found.length;
  }

  line(lesion, index, calibrated) {
    const said = this.verdicts[lesion.label];
    const name = `${calibrated ? "Lesion" : "Region"} ${lesion.label}`;
    const row = h("tr", { class: "row lesion", "aria-current": index === this.at ? "true" : null, "data-verdict": calibrated ? said ?? "" : null },
      h("th", { scope: "row" }, h("button", { type: "button", class: "small-button", "aria-label": `Go to ${name}, ${position(lesion.centre_mm)}`,
        onclick: () => this.select(index) }, lesion.label)),
      h("td", {}, volume(lesion.volume_ml)), h("td", {}, figure(lesion.peak, 1)),
      this.kept !== null && h("td", {}, lesion.p === null || lesion.p === undefined ? "–" : pValue(lesion.p)),
      calibrated && h("td", { class: "verdicts" }, ["accept", "reject"].map((verdict) =>
        h("button", { type: "button", class: `small-button ${verdict}`, "aria-pressed": String(said === verdict),
          "aria-label": `${verdict === "accept" ? "Accept" : "Reject"} ${name}`, onclick: () => this.say(lesion.label, verdict) },
        verdict === "accept" ? "Accept" : "Reject"))));
    row.addEventListener("click", (event) => event.target.closest("button") || this.select(index));
    return row;
  }

  select(index, show = true) {
    const lesion = this.lesions[index];
    if (!lesion) return;
    this.at = index;
    Array.from(this.body.children).forEach((row, n) => (n === index ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current")));
    if (show) this.body.children[index]?.scrollIntoView({ block: "nearest" });
    this.go(lesion.peak_mm ?? lesion.centre_mm);
  }

  next(step) {
    const many = this.lesions.length;
    if (!many) return say("There is no lesion to go to.");
    return this.select((Math.max(this.at, step > 0 ? -1 : 0) + step + many) % many);
  }

  // Keep a verdict; the same once more takes it back.
  async say(label, verdict) {
    if (this.formed || label === undefined) return say("Verdicts are of the lesions that the calibration keeps.");
    const who = await whoIs();
    if (!who) return undefined;
    const now = this.verdicts[label] === verdict ? null : verdict;
    try {
      await put(`/api/results/${this.id}/review`, { who, lesions: { [label]: now } });
    } catch (problem) {
      return say(problem.message);
    }
    if (now) this.verdicts[label] = now;
    else delete this.verdicts[label];
    const focus = document.activeElement?.getAttribute("aria-label");
    this.draw();
    Array.from(this.element.querySelectorAll("button")).find((button) => button.getAttribute("aria-label") === focus)?.focus();
    this.told(this.verdicts);
    return say(now ? `Lesion ${label}: ${now}ed` : `Lesion ${label}: no verdict`, 2);
  }
}
