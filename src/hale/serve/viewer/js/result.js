// A result: look, question, correct.

import { get } from "./api.js";
import { fill, h, say, segments } from "./dom.js";
import { engine } from "./engine.js";
import { setKeys } from "./keyboard.js";
import { guard } from "./leaving.js";
import { fillPanel } from "./panel.js";
import { Stage } from "./stage.js";

const VIEWS = [["axial", "Axial", "Key: 1"], ["coronal", "Coronal", "Key: 2"], ["sagittal", "Sagittal", "Key: 3"], ["all", "All", "Key: 4"], ["solid", "3-D", "Key: 5"]];
const MODES = [["single", "One"], ["side", "Side by side", "Key: x"], ["swipe", "Swipe", "Key: s"], ["blink", "Blink", "Key: b"]];

export async function show(main, [id]) {
  const asked = get(`/api/results/${id}`);
  engine(); // loads meanwhile
  const details = await asked;
  const { detection, files } = details;
  document.getElementById("where").textContent = `${detection.id} · ${detection.provenance?.model ?? detection.provenance?.method ?? ""}`;

  const stage = new Stage({ folder: `/api/results/${id}/files/`, files });
  const views = segments("Planes", VIEWS, "all", (view) => stage.setView(view));
  const modes = segments("Pictures", MODES.filter(([mode]) => files.pseudo_healthy || mode === "single" || (mode === "side" && stage.contrasts.length > 1)), "single", setMode);
  const contrasts = stage.contrasts.length > 1 && h("select", { "aria-label": "Contrast", onchange: () => toContrast(contrasts.value) },
    stage.contrasts.map((name) => h("option", { value: name }, name)));
  const panel = h("div", { class: "panel", tabindex: -1 });
  const toolbar = h("div", { class: "line toolbar", role: "toolbar", "aria-label": "Pictures", inert: true }, views, modes.children.length > 1 && modes, contrasts);
  fill(main, h("div", { class: "reading" }, h("div", { class: "pictures" }, toolbar, stage.element), panel));

  const [{ brush, exports, findings, layers, threshold }] = await Promise.all([fillPanel(panel, details, stage), stage.open()]);
  toolbar.removeAttribute("inert");
  views.show(stage.view);
  await stage.over(layers);
  if (findings.lesions.length) findings.select(0, false); // the decision and its doubts stay in sight

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

  guard(() => [brush.changed && "correction", exports.changed && "comment"].filter(Boolean));
  return () => { setKeys(null); guard(null); stage.close(); };
}
