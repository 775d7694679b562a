// Why flagged: the voxel under the crosshair, against healthy scans, its healthy version, its mirror.

import { get } from "./api.js";
import { atRest, fill, h } from "./dom.js";
import { figure, position, pValue, significant } from "./words.js";

const LEFT = -4; // standard deviations that the scale shows to the left; to the right 6, or as many as needed

export class Why {
  // `first` is the contrast whose pseudo-healthy counterpart there is.
  constructor({ id, calibrated, first, go }) {
    Object.assign(this, { id, calibrated, first, go, turn: 0 });
    this.element = h("div", { class: "why", "aria-live": "polite" }, h("p", { class: "quiet" }, "Move the crosshair."));
    this.look = atRest((mm) => this.ask(mm), 160);
  }

  async ask([x, y, z]) {
    const mine = ++this.turn;
    try {
      const answer = await get(`/api/results/${this.id}/why`, { x: x.toFixed(2), y: y.toFixed(2), z: z.toFixed(2) });
      if (mine === this.turn) this.tell(answer, [x, y, z]);
    } catch (problem) {
      if (mine === this.turn) fill(this.element, h("p", { class: "quiet" }, problem.message));
    }
  }

  tell(answer, mm) {
    const rows = [["Place", `${position(mm)}${answer.in_brain === false ? ", outside the brain" : ""}`]];
    if (this.calibrated) {
      rows.push(["z", `${figure(answer.z)}${known(answer.p) ? `, p = ${pValue(answer.p)} (voxel)` : ""}`]);
      if (answer.healthy) rows.push(["Healthy here", `${significant(answer.healthy.mean)} ± ${significant(answer.healthy.spread)}; here ${significant(answer.score)} (score)`]);
      else rows.push(["Healthy here", `Mean and spread are not known: ${answer.healthy_unknown}.`]);
    } else rows.push(["Score", `${significant(answer.score)}; no healthy scans to compare with, no p-values`]);
    if (known(answer.percentile)) rows.push(["Within this brain", `above ${Math.min(99.99, answer.percentile).toFixed(2)} % of its voxels`]);
    for (const [contrast, value] of Object.entries(answer.scan ?? {})) {
      rows.push([contrast, `${significant(value, 4)}${contrast === this.first ? versus(value, answer.pseudo_healthy) : ""}`]);
    }
    if (answer.mirror) rows.push(["Other side", mirror(answer, this.calibrated)]);
    const other = answer.mirror?.mm && h("button", { type: "button", class: "small-button", onclick: () => this.go(answer.mirror.mm) }, "Look at the other side");
    fill(this.element, this.calibrated && known(answer.z) && scale(answer.z),
      h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), other);
  }
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

function versus(value, healthy) {
  return known(healthy) ? `; healthy would be ${significant(healthy, 4)} (${value >= healthy ? "+" : "−"}${significant(Math.abs(value - healthy), 3)})` : "";
}

function mirror({ mirror: { scan, z, how, in_brain: inside } }, calibrated) {
  const values = typeof scan === "object" && scan !== null ? Object.entries(scan).map(([name, value]) => `${name} ${significant(value, 4)}`) : known(scan) ? [significant(scan, 4)] : [];
  const told = [...values, known(z) ? (calibrated ? `z ${figure(z)}` : `score ${significant(z)}`) : ""].filter(Boolean).join(", ") || "–";
  return `${told}${inside === false ? "; outside the brain" : ""}${how ? `; found by the ${how}` : ""}`;
}

// Draw the healthy distribution, in standard deviations, and where this voxel stands in it.
function scale(z) {
  const name = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const right = Math.max(6, Math.ceil(z) + 1);
  const across = (sd) => 10 + ((Math.max(LEFT, sd) - LEFT) / (right - LEFT)) * 300;
  const curve = Array.from({ length: 201 }, (_, n) => LEFT + (n / 200) * (right - LEFT))
    .map((sd) => `${across(sd).toFixed(1)},${(52 - 42 * Math.exp(-sd * sd / 2)).toFixed(1)}`).join(" ");
  const every = [3, 5, 10, 50, 100, 1000].find((step) => right / step < 5);
  const ticks = [-3, ...Array.from({ length: Math.floor(right / every) + 1 }, (_, n) => n * every)].map((sd) => name("text", { x: across(sd), y: 68, "text-anchor": "middle" }, String(sd)));
  return name("svg", { viewBox: "0 0 320 72", class: "healthy", role: "img", "aria-label": `z of ${figure(z)} on the healthy distribution at this place` },
    name("polyline", { points: `${across(LEFT)},52 ${curve} ${across(right)},52`, class: "bell" }),
    name("line", { x1: across(z), x2: across(z), y1: 4, y2: 56, class: "here" }),
    name("circle", { cx: across(z), cy: 6, r: 4, class: "here-dot" }), ...ticks);
}
