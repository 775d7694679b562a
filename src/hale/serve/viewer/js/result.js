// A result: look, question, correct.

import { get } from "./api.js";
import { fill, h, say, segments } from "./dom.js";
import { Brush } from "./brush.js";
import { facts, warnings } from "./about.js";
import { exportsOf } from "./exports.js";
import { load } from "./engine.js";
import { Findings } from "./findings.js";
import { setKeys } from "./keyboard.js";
import { Layers } from "./layers.js";
import { guard } from "./leaving.js";
import { bestView } from "./pane.js";
import { highest } from "./regions.js";
import { Stage } from "./stage.js";
import { Threshold } from "./threshold.js";
import { Why } from "./why.js";
import { verdict } from "./words.js";

const VIEWS = [["axial", "Axial", "Key: 1"], ["coronal", "Coronal", "Key: 2"], ["sagittal", "Sagittal", "Key: 3"], ["all", "All", "Key: 4"], ["solid", "3-D", "Key: 5"]];
const MODES = [["single", "One"], ["side", "Side by side", "Key: x"], ["swipe", "Swipe", "Key: s"], ["blink", "Blink", "Key: b"]];

export async function show(main, [id]) {
  const details = await get(`/api/results/${id}`);
  const { detection, files } = details;
  const folder = `/api/results/${id}/files/`;
  const holds = detection.p_values?.holds !== false;
  const calibrated = details.calibrated;
  const early = calibrated ? null : await load(folder + files.anomaly, { opacity: 0, colormap: "heat" });
  const range = rangeOf(details, early);
  document.getElementById("where").textContent = `${detection.id} · ${detection.provenance?.model ?? detection.provenance?.method ?? ""}`;

  const why = new Why({ id, calibrated, first: detection.contrasts?.[0], go: (mm) => stage.lead.to(mm) });
  const stage = new Stage({ folder, files, moved: ({ mm }) => why.look(Array.from(mm).slice(0, 3)) });
  const layers = new Layers({ folder, files, range: { low: range.start, high: range.colours }, unit: calibrated ? "z" : "score", window: () => stage.window(), changed: () => stage.paint() });
  if (early) layers.get("anomaly").early = early;
  const findings = new Findings({ id, kept: calibrated ? detection.lesions : null, holds, review: details.review,
    go: (mm) => stage.lead?.base && stage.lead.to(mm), verdicts: (said) => layers.setVerdicts(said) });
  layers.setVerdicts(findings.verdicts);
  const threshold = new Threshold({ id, range, start: range.start, calibrated, holds, alpha: detection.calibration?.alpha, rates: detection.calibration?.rate_interval,
    shown: (z) => layers.setThreshold(z), formed: (lesions, all) => findings.form(lesions, all) });
  const exports = exportsOf(id, details);
  const brush = new Brush({ id, folder, files, stage, threshold, kept: (now) => exports.kept(now) });

  const views = segments("Planes", VIEWS, "all", (view) => stage.setView(view));
  const modes = segments("Pictures", MODES.filter(([mode]) => files.pseudo_healthy || mode === "single" || (mode === "side" && stage.contrasts.length > 1)), "single", setMode);
  const contrasts = stage.contrasts.length > 1 && h("select", { "aria-label": "Contrast", onchange: () => toContrast(contrasts.value) },
    stage.contrasts.map((name) => h("option", { value: name }, name)));
  fill(main, h("div", { class: "reading" },
    h("div", { class: "pictures" }, h("div", { class: "line toolbar", role: "toolbar", "aria-label": "Pictures" }, views, modes.children.length > 1 && modes, contrasts), stage.element),
    h("div", { class: "panel", tabindex: -1 }, head(detection), warnings(details),
      part("Findings", threshold.element, findings.element), part("Layers", layers.element), part("Why here", why.element),
      part("Correct", brush.element), part("Take away", exports.element), part("About this result", facts(details)))));

  await stage.open(layers);
  setMode("single");
  setView(bestView(stage.lead.base));
  if (findings.lesions.length) findings.select(0);

  async function setMode(mode) {
    if (mode === "swipe" && stage.view === "all") setView("axial");
    try {
      if ((mode === "swipe" || mode === "blink") && stage.contrast !== stage.first && !(await toContrast(stage.first))) return modes.show(stage.mode);
      modes.show(mode);
      await stage.setMode(mode);
    } catch (problem) {
      say(problem.message);
    }
    return modes.show(stage.mode);
  }

  function setView(view) {
    views.show(view);
    stage.setView(view);
  }

  const flip = (mode) => setMode(stage.mode === mode ? "single" : mode);
  const lead = () => stage.lead;
  setKeys({
    1: () => setView("axial"), 2: () => setView("coronal"), 3: () => setView("sagittal"), 4: () => setView("all"), 5: () => setView("solid"),
    ArrowUp: () => lead().inPlane(0, 1), ArrowDown: () => lead().inPlane(0, -1), ArrowLeft: () => lead().inPlane(-1, 0), ArrowRight: () => lead().inPlane(1, 0),
    PageUp: () => lead().slice(1), PageDown: () => lead().slice(-1), Home: () => lead().slice(10), End: () => lead().slice(-10),
    "+": () => lead().zoom(1.2), "=": () => lead().zoom(1.2), "-": () => lead().zoom(1 / 1.2), 0: () => stage.reset(),
    ",": () => stage.shiftWindow(0.1, 0), ".": () => stage.shiftWindow(-0.1, 0), "<": () => stage.shiftWindow(0, 0.2), ">": () => stage.shiftWindow(0, -0.2),
    n: () => findings.next(1), p: () => findings.next(-1), c: nextContrast, x: () => flip("side"), s: () => flip("swipe"), b: () => flip("blink"),
    a: () => layers.toggle("anomaly"), v: () => layers.toggle("pvalue"), m: () => layers.toggle("mask"), h: () => layers.toggle("pseudo_healthy"), o: () => layers.hideAll(),
    "[": () => threshold.nudge(-1), "]": () => threshold.nudge(1),
    y: () => findings.say(findings.lesions[findings.at]?.label, "accept"), r: () => findings.say(findings.lesions[findings.at]?.label, "reject"),
    d: () => brush.use("paint"), e: () => brush.use("erase"), l: () => brush.use("look"), " ": () => brush.stamp(), "Ctrl z": () => brush.undo(),
  });

  function nextContrast() {
    if (!contrasts) return say("There is one contrast.", 2);
    return toContrast(stage.contrasts[(stage.contrasts.indexOf(stage.contrast) + 1) % stage.contrasts.length]);
  }

  async function toContrast(name) {
    if (!(await brush.fits(name))) {
      contrasts.value = stage.contrast;
      say(`${name} has other voxels than the map, on which you draw.`);
      return false;
    }
    contrasts.value = name;
    if (stage.mode !== "single") await setMode("single"); // others beside it, or its counterpart above
    await stage.setContrast(name);
    return true;
  }

  guard(() => brush.changed);
  return () => { setKeys(null); guard(null); stage.close(); };
}

// Return where the threshold may lie, where it starts, and where the anomaly's colours end.
function rangeOf({ detection, range }, early) {
  const most = range?.max ?? 10;
  if (!early) {
    const z0 = detection.calibration?.z0 ?? 3;
    return { low: range?.min ?? 2, high: Math.max(z0 + 3, Math.ceil(most)), start: z0, colours: Math.max(z0 + 3, Math.min(Math.ceil(most), z0 + 6)) };
  }
  const low = Math.max(0, range?.min ?? 0);
  return { low, high: most, start: Math.max(low, highest(early, 0.01)), colours: most };
}

function head(detection) {
  const said = verdict(detection);
  return h("div", { class: "verdict-head" }, h("h1", { class: said.tone }, said.headline), h("p", { class: "small quiet" }, said.meaning));
}

function part(title, ...children) {
  return h("details", { class: "part", open: true }, h("summary", {}, h("h2", {}, title)), h("div", { class: "part-body" }, children));
}
