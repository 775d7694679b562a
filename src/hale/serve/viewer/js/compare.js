// Two methods on one scan: both maps over it, where they disagree, and a table.

import { address, get } from "./api.js";
import { fill, h, segments } from "./dom.js";
import { load } from "./engine.js";
import { setKeys } from "./keyboard.js";
import { bestView, link, Pane } from "./pane.js";
import { Stage } from "./stage.js";
import { figure, percent, position, significant, volume } from "./words.js";

const UNLIKE = 0.4; // difference of ranks, 0 to 1, from which disagreement is coloured
const SHOWS = [["both", "Both maps"], ["a", "First"], ["b", "Second"], ["disagreement", "Disagreement"]];

export async function show(main, [a, b]) {
  const [first, second, compared] = await Promise.all([get(`/api/results/${a}`), get(`/api/results/${b}`), get("/api/compare", { a, b })]);
  const names = [first, second].map(({ detection }) => detection.provenance?.model || detection.provenance?.method);
  document.getElementById("where").textContent = `${first.detection.id} · ${names.join(" against ")}`;
  const legend = h("p", { class: "legend small" });
  const place = h("div", { class: "panes", "data-mode": "single" });
  const opacity = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: 0.65, id: "opacity", oninput: () => draw(shown) });
  const views = segments("Planes", [["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"], ["all", "All"]], "all", (view) => pane.setView(view));
  const what = segments("Maps", SHOWS, "both", (value) => draw(value));
  fill(main, h("div", { class: "reading" },
    h("div", { class: "pictures" }, h("div", { class: "line toolbar", role: "toolbar", "aria-label": "Pictures" }, views, what), h("div", { class: "stage" }, place, legend)),
    h("div", { class: "panel" }, h("h1", {}, "Two methods, one scan"),
      h("dl", { class: "facts" }, [["First", names[0], a], ["Second", names[1], b]].map(([title, name, id]) => [h("dt", {}, title), h("dd", {}, h("a", { href: `#/result/${id}` }, name))]),
        [[diceOf(compared), figure(compared.dice)], ["Correlation of the ranks", figure(compared.correlation)]].map(([title, value]) => [h("dt", {}, title), h("dd", {}, value)])),
      h("label", { class: "field", for: "opacity" }, h("span", {}, "Opacity of the maps"), opacity),
      (!first.calibrated || !second.calibrated) && h("div", { class: "banner" }, "A map without p-values has a scale of its own: its colours are the highest 5 % of this brain."),
      table(compared, names, (mm) => pane.to(mm)))));

  const pane = await Pane.open(place, first.detection.id);
  const stage = new Stage({ folder: `/api/results/${a}/files/`, files: first.files });
  const images = {};
  let shown = "both";
  link([pane], () => {});
  pane.show(await stage.base(stage.contrast));
  views.pick(bestView(pane.base));
  await draw("both");
  const top = (compared.table ?? [])[0];
  if (top?.centre_mm) pane.to(top.centre_mm);

  async function image(which) {
    if (!images[which]) images[which] = await (which === "disagreement" ? disagreement(a, b) : overlay(which === "a" ? first : second, which === "a" ? "heat" : "cold"));
    return images[which];
  }

  async function draw(value) {
    shown = value;
    what.show(value);
    const wanted = value === "both" ? ["a", "b"] : [value];
    const layers = await Promise.all(wanted.map(image));
    for (const layer of layers) layer.opacity = Number(opacity.value);
    pane.stack([pane.base, ...layers]);
    pane.paint();
    fill(legend, value === "disagreement"
      ? [swatch("heat"), `${names[0]} ranks it higher `, swatch("cold"), `${names[1]} ranks it higher; from a difference of ${100 * UNLIKE} % of the brain's voxels`]
      : wanted.map((which) => [swatch(which === "a" ? "heat" : "cold"), names[which === "a" ? 0 : 1], " "]));
  }

  setKeys({
    ArrowUp: () => pane.inPlane(0, 1), ArrowDown: () => pane.inPlane(0, -1), ArrowLeft: () => pane.inPlane(-1, 0), ArrowRight: () => pane.inPlane(1, 0),
    PageUp: () => pane.slice(1), PageDown: () => pane.slice(-1), Home: () => pane.slice(10), End: () => pane.slice(-10),
    "+": () => pane.zoom(1.2), "-": () => pane.zoom(1 / 1.2), 0: () => pane.unzoom(),
    1: () => views.pick("axial"), 2: () => views.pick("coronal"), 3: () => views.pick("sagittal"), 4: () => views.pick("all"),
    x: () => draw(SHOWS[(SHOWS.findIndex(([name]) => name === shown) + 1) % SHOWS.length][0]),
  });
  return () => { setKeys(null); pane.close(); };
}

const swatch = (name) => h("span", { class: `swatch ${name}` });

async function overlay({ id, detection, files, calibrated }, colormap) {
  const layer = await load(`/api/results/${id}/files/${files.anomaly}`, { opacity: 0, colormap });
  const low = calibrated ? detection.calibration?.z0 ?? 3 : layer.robust_max;
  Object.assign(layer, { cal_min: low, cal_max: Math.max(calibrated ? low + 4 : 0, layer.global_max * 0.9, low * 1.01) });
  return layer;
}

async function disagreement(a, b) {
  const layer = await load(address("/api/compare/disagreement.nii.gz", { a, b }), { opacity: 0, name: "disagreement.nii.gz", colormap: "heat", colormapNegative: "cold" });
  Object.assign(layer, { cal_min: UNLIKE, cal_max: 1, cal_minNeg: -UNLIKE, cal_maxNeg: -1 });
  return layer;
}

// What the Dice coefficient is of: masks, or what stands in for one where a method has none.
function diceOf({ a_found: a, b_found: b }) {
  if (a === "lesions" && b === "lesions") return "Dice of the masks";
  return a === b ? `Dice of ${a} of both` : `Dice of ${a} and ${b}`;
}

function table({ table: rows = [], a_found: a, b_found: b }, names, go) {
  if (!rows.length) return h("p", { class: "quiet" }, "Neither method keeps a lesion.");
  const title = ["Place", "Found by", "Volume", "Peak", "The other there", "Shared"];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Lesions of both" }, h("table", {},
    h("caption", {}, `${names[0]}: ${a}. ${names[1]}: ${b}. Shared: the part that the other found too.`),
    h("thead", {}, h("tr", {}, title.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", {},
      h("th", { scope: "row" }, h("button", { type: "button", class: "small-button", onclick: () => go(row.centre_mm) }, position(row.centre_mm))),
      h("td", {}, swatch(row.of === "a" ? "heat" : "cold"), `${names[row.of === "a" ? 0 : 1]} ${row.label}`),
      h("td", {}, volume(row.volume_ml)), h("td", {}, significant(row.peak)), h("td", {}, significant(row.other_peak)),
      h("td", {}, row.shared ? `${percent(row.shared)}${row.other_label ? `, in its ${row.other_label}` : ""}` : "not found"))))));
}
