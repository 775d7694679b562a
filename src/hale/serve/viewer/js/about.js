// What a reader must know before the map: doubts; and what there is to know besides.

import { h } from "./dom.js";
import { date, percent, significant } from "./words.js";

// Return banners: quality, p-values that do not hold, domain, no calibration, a scan that is gone.
export function warnings({ detection, files, calibrated }) {
  const { quality = {}, p_values: validity } = detection;
  const bands = [];
  if (quality.verdict && quality.verdict !== "pass") {
    bands.push(band(quality.verdict === "refuse" ? "Quality control refuses this scan; the user insisted" : "Look at the scan and its checks before the map",
      (quality.findings ?? []).map((finding) => finding.what ?? finding)));
  }
  if (!calibrated) bands.push(band("No p-values", ["The method has no calibration: it orders the voxels of this scan, and says nothing of how rare they are in healthy scans."]));
  if (validity && !validity.holds) bands.push(band("p-values are not valid here", validity.reasons ?? []));
  if (quality.out_of_domain?.length) bands.push(band("Unlike the training cohort as a whole", quality.out_of_domain));
  if (!Object.keys(files.scan ?? {}).length) bands.push(band("The scan is not where it was", ["The map is shown over the brain mask alone."]));
  return h("div", { class: "bands" }, bands);
}

function band(title, reasons) {
  return h("div", { class: "banner", role: "note" }, h("strong", {}, title), reasons.length > 0 && h("ul", {}, reasons.map((reason) => h("li", {}, reason))));
}

export function facts({ detection, grid }) {
  const { provenance = {}, calibration, p_values: validity, quality = {} } = detection;
  const rows = [
    ["Contrasts", (detection.contrasts ?? []).join(", ")],
    ["Voxels", grid && `${grid.shape.join(" × ")}, ${grid.spacing.map((mm) => significant(mm)).join(" × ")} mm`],
    ["Scan score", significant(detection.score)],
    ["Method", provenance.method], ["Model", provenance.model], ["Learnt from", provenance.learnt_from], ["Reference", provenance.reference],
    ["Calibration", calibration && `${calibration.n_scans} healthy scans, alpha ${significant(calibration.alpha)}`],
    ["Flags of healthy scans", calibration?.rate_interval && `between ${percent(calibration.rate_interval[0])} and ${percent(calibration.rate_interval[1])}, by this calibration set`],
    ["Not compared", validity?.not_checked?.join(", ")],
    ["Quality control", quality.verdict], ["Left and right", quality.left_right],
    ["Notes", detection.notes?.join("; ")], ["Made", provenance.date && `${date(provenance.date)} UTC, hale ${provenance.hale}`],
  ];
  return h("div", {}, h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("p", { class: "small quiet use-line" }, "Research use only. Not a medical device; not for diagnosis."));
}
