// Numbers as the reports write them: units, directions, undefined said as such.

const fixed = (value, places) => Number(value).toFixed(places).replace("-", "−");
const known = (value) => typeof value === "number" && Number.isFinite(value);

export const volume = (ml) => (known(ml) ? `${fixed(ml, ml < 10 ? 2 : 1)} ml` : "–");
export const figure = (value, places = 2) => (known(value) ? fixed(value, places) : "–");
export const significant = (value, digits = 3) => (known(value) ? String(Number(value.toPrecision(digits))).replace(/^-/, "−") : "–");
export const pValue = (p) => (known(p) ? significant(p, 2) : "undefined");
export const percent = (share) => (known(share) ? `${significant(100 * share, share < 0.1 ? 2 : 3)} %` : "–");
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

export function position(mm, places = 0) {
  if (!mm) return "–";
  const names = [["R", "L"], ["A", "P"], ["S", "I"]];
  const parts = Array.from(mm).slice(0, 3).map((value, axis) => `${names[axis][value < 0 ? 1 : 0]} ${fixed(Math.abs(value), places)}`);
  return `${parts.join(", ")} mm`;
}

export function date(text) {
  return text ? String(text).slice(0, 16).replace("T", " ") : "–";
}

export function remaining(seconds) {
  if (!known(seconds)) return "";
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${fixed(seconds / 3600, 1)} h left`;
}

// What a result's decision is, how it is coloured, and what it means, in the report's words.
export function verdict(detection) {
  if (detection.flagged === null || detection.flagged === undefined) {
    return { tone: "open", headline: "Map and ranks only: no p-values",
      meaning: "Brighter is more unusual within this scan. No healthy scans tell how unusual is too unusual." };
  }
  const holds = detection.p_values?.holds !== false;
  const alpha = detection.calibration?.alpha;
  const healthy = known(alpha) ? `${percent(1 - alpha)} of healthy scans` : "healthy scans";
  const found = detection.flagged ? count(detection.lesions.length, "component") : "no component";
  if (!holds) {
    return { tone: "open", headline: `${detection.flagged ? "Flagged" : "Not flagged"}, in doubt: ${found} above the line`,
      meaning: "p-values are not valid here: the scan differs from the healthy scans that drew this line." };
  }
  if (detection.flagged) {
    return { tone: "flagged", headline: `Flagged: ${found} beyond what ${healthy} show`,
      meaning: "Size and strength of a component count together." };
  }
  return { tone: "clear", headline: `Not flagged at alpha = ${significant(alpha)}`,
    meaning: "That does not make the scan normal: small or faint findings stay below this line." };
}
