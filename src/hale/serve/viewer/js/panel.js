// What stands beside the pictures of a result: question, correct, take away.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { Brush } from "./brush.js";
import { facts, warnings } from "./about.js";
import { exportsOf } from "./exports.js";
import { load } from "./engine.js";
import { Findings } from "./findings.js";
import { Layers } from "./layers.js";
import { highest } from "./regions.js";
import { Threshold } from "./threshold.js";
import { Why } from "./why.js";
import { verdict } from "./words.js";

// Fill the panel: at once with what the result says, the rest when the station has the map ready.
export async function fillPanel(panel, details, stage) {
  const { id, detection, files, calibrated } = details;
  const folder = `/api/results/${id}/files/`;
  const holds = detection.p_values?.holds !== false;
  const top = [head(detection), warnings(details)];
  fill(panel, top, h("p", { class: "part quiet", role: "status" }, "The map is being made ready …"));
  const [span, early] = await Promise.all([get(`/api/results/${id}/range`), calibrated ? null : load(folder + files.anomaly, { opacity: 0, colormap: "heat" })]);
  const range = rangeOf(detection, span, early);

  const why = new Why({ id, calibrated, first: detection.contrasts?.[0], go: (mm) => stage.lead.to(mm) });
  stage.told = ({ mm }) => why.look(Array.from(mm).slice(0, 3));
  const layers = new Layers({ folder, files, range: { low: range.start, high: range.colours }, unit: calibrated ? "z" : "score", window: () => stage.window(), changed: () => stage.paint() });
  if (early) layers.get("anomaly").early = early;
  const findings = new Findings({ id, kept: calibrated ? detection.lesions : null, holds, review: details.review,
    go: (mm) => stage.lead?.base && stage.lead.to(mm), verdicts: (said) => layers.setVerdicts(said) });
  layers.setVerdicts(findings.verdicts);
  const threshold = new Threshold({ id, range, start: range.start, calibrated, holds, alpha: detection.calibration?.alpha, rates: detection.calibration?.rate_interval,
    shown: (z) => layers.setThreshold(z), formed: (lesions, all) => findings.form(lesions, all) });
  const exports = exportsOf(id, details);
  const brush = new Brush({ id, folder, files, stage, threshold, kept: (now) => exports.kept(now) });
  fill(panel, top, part("Findings", threshold.element, findings.element), part("Layers", layers.element), part("Why here", why.element),
    part("Correct", brush.element), part("Take away", exports.element), part("About this result", facts(details)));
  return { brush, exports, findings, layers, threshold };
}

// Return where the threshold may lie, where it starts, and where the anomaly's colours end.
function rangeOf(detection, { min, max }, early) {
  if (!early) {
    const z0 = detection.calibration?.z0 ?? 3;
    return { low: min, high: Math.max(z0 + 3, Math.ceil(max)), start: z0, colours: Math.max(z0 + 3, Math.min(Math.ceil(max), z0 + 6)) };
  }
  const low = Math.max(0, min);
  return { low, high: max, start: Math.max(low, highest(early, 0.01)), colours: max };
}

function head(detection) {
  const said = verdict(detection);
  return h("div", { class: "verdict-head" }, h("h1", { class: said.tone }, said.headline), h("p", { class: "small quiet" }, said.meaning));
}

function part(title, ...children) {
  return h("details", { class: "part", open: true }, h("summary", {}, h("h2", {}, title)), h("div", { class: "part-body" }, children));
}
