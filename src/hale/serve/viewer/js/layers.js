// What lies over the scan: anomaly, p-map, mask, pseudo-healthy; each on or off, with its opacity.

import { load, paintVerdicts, rarity } from "./engine.js";
import { eachFrame, fill, h, say } from "./dom.js";
import { significant } from "./words.js";

const KINDS = {
  pseudo_healthy: { label: "Pseudo-healthy", key: "h", opacity: 1, on: false, legend: "what the model takes for healthy" },
  anomaly: { label: "Anomaly map", key: "a", opacity: 0.75, on: true, legend: "" },
  pvalue: { label: "p-map", key: "v", opacity: 0.75, on: false, legend: "coloured from p = 0.01 down; not corrected for multiplicity" },
  mask: { label: "Mask", key: "m", opacity: 0.2, on: true, legend: "outline: the components that the calibration keeps" },
};

export class Layers {
  // `files` are names below `folder`; `range` {low, high} is of the anomaly's colours.
  constructor({ folder, files, range, unit, window, changed }) {
    Object.assign(this, { folder, range, unit, window, changed, hiddenAll: false, verdicts: {} });
    this.scale = h("span", { class: "scale num small" });
    this.all = Object.entries(KINDS).filter(([kind]) => files[kind])
      .map(([kind, spec]) => ({ kind, ...spec, file: files[kind], image: null }));
    this.rows = new Map(this.all.map((layer) => [layer.kind, this.row(layer)]));
    this.element = h("div", { class: "layers" }, [...this.rows.values()].map((row) => row.element));
    this.redraw = eachFrame(() => this.changed());
    this.tellScale();
  }

  get(kind) {
    return this.all.find((layer) => layer.kind === kind);
  }

  // Return the images to draw, from the lowest; load those that are wanted for the first time.
  async images() {
    for (const layer of this.all) if (layer.on && !layer.image) await this.fetch(layer);
    return this.drawn();
  }

  drawn() {
    for (const layer of this.all) if (layer.image) layer.image.opacity = layer.on && !this.hiddenAll ? layer.opacity : 0;
    return this.all.filter((layer) => layer.image).map((layer) => layer.image);
  }

  async fetch(layer) {
    const colormap = { anomaly: "heat", pvalue: "rare" }[layer.kind] ?? "gray";
    const image = layer.early ?? await load(this.folder + layer.file, { opacity: 0, colormap });
    if (layer.kind === "anomaly") Object.assign(image, { cal_min: this.range.low, cal_max: this.range.high });
    else if (layer.kind === "pvalue") rarity(image);
    else if (layer.kind === "mask") paintVerdicts(image, this.verdicts);
    else [image.cal_min, image.cal_max] = this.window();
    layer.image = image;
  }

  async toggle(kind, on, aloud = true) {
    const layer = this.get(kind);
    if (!layer) return say(`This result has no ${KINDS[kind]?.label ?? kind}.`);
    layer.on = on ?? !layer.on;
    this.tellScale();
    this.rows.get(kind).show();
    await this.changed();
    return aloud && say(`${layer.label} ${layer.on ? "on" : "off"}`, 1.5);
  }

  async hideAll() {
    this.hiddenAll = !this.hiddenAll;
    this.tellScale();
    await this.changed();
    say(this.hiddenAll ? "The scan alone; once more for what lay over it" : "Overlays as before", 1.5);
  }

  // Say what the anomaly's colours stand for.
  tellScale() {
    const { low, high } = this.range;
    fill(this.scale, h("span", { class: "swatch anomaly" }), `${this.unit} ${significant(low)} to ${significant(Math.max(high, low))} and above`);
    this.scale.hidden = !this.get("anomaly")?.on || this.hiddenAll;
  }

  setThreshold(low) {
    this.range.low = low;
    this.tellScale();
    const image = this.get("anomaly")?.image;
    if (!image) return;
    image.cal_min = low;
    image.cal_max = Math.max(this.range.high, low + 1e-3);
    this.redraw();
  }

  setWindow([low, high]) {
    const image = this.get("pseudo_healthy")?.image;
    if (image) Object.assign(image, { cal_min: low, cal_max: high });
  }

  setVerdicts(verdicts) {
    this.verdicts = verdicts;
    const image = this.get("mask")?.image;
    if (image) {
      paintVerdicts(image, verdicts);
      this.redraw();
    }
  }

  row(layer) {
    const box = h("input", { type: "checkbox", checked: layer.on, "aria-keyshortcuts": layer.key, onchange: () => this.toggle(layer.kind, box.checked) });
    const slider = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: layer.opacity, "aria-label": `Opacity of ${layer.label}`,
      oninput: () => { layer.opacity = Number(slider.value); this.redraw(); } });
    const element = h("div", { class: "layer", "data-layer": layer.kind },
      h("label", { class: "check" }, box, h("span", {}, h("span", { class: `swatch ${layer.kind}` }), layer.label, " ", h("kbd", {}, layer.key))),
      slider, layer.legend && h("p", { class: "small quiet" }, layer.legend));
    return { element, show: () => { box.checked = layer.on; } };
  }
}
