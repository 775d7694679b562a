// The threshold: a slider that says at once what it costs on healthy scans.

import { get } from "./api.js";
import { eachFrame, fill, h } from "./dom.js";
import { figure, percent, significant } from "./words.js";

export class Threshold {
  // `range` {low, high}; `start` is the calibrated threshold, or where colours begin.
  constructor({ id, range, start, calibrated, holds, alpha, rates, shown, formed }) {
    Object.assign(this, { id, range, start, calibrated, holds, alpha, rates, formed, z: start, asked: 0, answered: 0 });
    const step = calibrated ? 0.05 : (range.high - range.low) / 200;
    this.slider = h("input", { type: "range", id: "threshold", min: range.low, max: range.high, step, value: start });
    if (!calibrated) this.start = this.z = Number(this.slider.value); // a step of the slider
    this.value = h("output", { class: "num threshold-value", for: "threshold" });
    this.words = h("div", { class: "cost small", "aria-live": "polite" });
    this.back = h("button", { type: "button", class: "small-button", onclick: () => this.set(this.start) },
      calibrated ? "Back to the calibrated threshold" : "Back to the start");
    const show = eachFrame((z) => shown(z));
    this.slider.addEventListener("input", () => this.set(Number(this.slider.value)));
    this.show = show;
    this.element = h("div", { class: "threshold" },
      h("div", { class: "line" }, h("label", { for: "threshold" }, calibrated ? "Threshold z" : "Threshold of the score"), this.value, this.back),
      this.slider, this.words);
    this.draw();
    this.ask();
  }

  get isStart() {
    return Math.abs(this.z - this.start) < 1e-9;
  }

  set(z) {
    this.slider.value = z;
    this.z = Math.abs(z - this.start) < 1e-9 ? this.start : Number(this.slider.value);
    this.draw();
    this.show(this.z);
    this.ask();
  }

  nudge(steps) {
    this.set(this.z + steps * (this.calibrated ? 0.1 : (this.range.high - this.range.low) / 100));
  }

  draw() {
    this.value.textContent = this.calibrated ? figure(this.z, 2) : significant(this.z, 3);
    this.slider.setAttribute("aria-valuetext", `${this.value.textContent}`);
    this.back.hidden = this.isStart;
  }

  // Ask for the latest threshold only; one question at a time.
  async ask() {
    this.asked = this.z;
    if (this.asking) return;
    this.asking = true;
    for (let z = NaN; z !== this.asked;) {
      z = this.asked;
      try {
        this.tell(await get(`/api/results/${this.id}/threshold`, { z }));
      } catch (problem) {
        fill(this.words, h("p", { role: "alert" }, problem.message));
      }
    }
    this.asking = false;
  }

  tell(answer) {
    this.answer = answer;
    this.element.dataset.answered = answer.z;
    fill(this.words, this.calibrated ? [this.isStart && promise(this), cost(answer, this.holds)] : h("p", {}, "No p-values: this method has no calibration on healthy scans, ",
      "so nothing is known of false alarms. The regions are ranks within this scan."));
    this.formed(this.isStart && this.calibrated ? null : answer.lesions, answer.count);
  }
}

// What the calibrated threshold promises: on average over calibration sets, and where p-values hold.
function promise({ alpha, rates, holds }) {
  const kept = `only components with p of ${significant(alpha)} or less are kept. Of all regions above this line:`;
  if (!holds) return h("p", {}, h("b", {}, "No promise for this scan, where p-values are not valid: "), kept);
  const range = rates ? ` (by this calibration set, between ${percent(rates[0])} and ${percent(rates[1])})` : "";
  return h("p", {}, h("b", {}, `On average at most ${percent(alpha)} of healthy scans are flagged`), `${range}: ${kept}`);
}

// What the threshold means for healthy scans, from the calibration.
function cost(answer, holds) {
  if (answer.false_components === null || answer.false_components === undefined) {
    return h("p", {}, "What healthy scans show at this threshold is not known here: start hale serve with --models on the folder of this model.");
  }
  const known = [
    ["False alarms: healthy scans with any region", answer.healthy_share_any, percent],
    ["… with one as heavy as the lightest here", answer.healthy_share, percent],
    ["False regions expected in a healthy scan", answer.false_components, (value) => figure(value, value < 10 ? 1 : 0)],
    ["Share of healthy voxels above", answer.voxel_p, percent],
  ].filter(([, value]) => value !== undefined && value !== null);
  return [h("dl", { class: "facts" }, known.map(([name, value, words]) => [h("dt", {}, name), h("dd", {}, words(value))])),
    h("p", { class: "quiet" }, `Of ${answer.healthy_scans ?? "the"} healthy calibration scans${answer.ladder_z < answer.z - 1e-6 ? `; shares and p at most, from z = ${significant(answer.ladder_z)}` : ""}.`,
      !holds && " This scan differs from them: not valid here.")];
}
