// The pictures of a result: one, contrasts side by side, or scan against pseudo-healthy.

import { load } from "./engine.js";
import { fill, h, say } from "./dom.js";
import { bestView, link, Pane } from "./pane.js";
import { position, significant } from "./words.js";

const BLINK_MS = 700;

export class Stage {
  constructor({ folder, files }) {
    Object.assign(this, { folder, scans: files.scan ?? {}, pseudo: files.pseudo_healthy, fallback: files.brain ?? files.anomaly, told: () => {} });
    Object.assign(this, { layers: null, mode: "single", view: "all", panes: [], images: new Map(), blinking: null });
    this.contrasts = Object.keys(this.scans);
    this.contrast = this.contrasts[0] ?? null;
    this.place = h("div", { class: "panes", "data-mode": this.mode });
    this.swipe = h("input", { type: "range", class: "swipe", min: 0, max: 100, value: 50, hidden: true,
      "aria-label": "Where the scan ends and the pseudo-healthy begins", oninput: () => this.part() });
    this.values = h("output", { class: "values num small" });
    this.under = h("div", { class: "under" }, this.values);
    this.element = h("div", { class: "stage" }, this.place, this.swipe, this.under);
  }

  get lead() {
    return this.panes[0];
  }

  // Show the scan, before what lies over it.
  async open() {
    const [pane, image] = await Promise.all([Pane.open(this.place, this.contrast ?? "Brain"), this.base(this.contrast)]);
    this.panes = [pane];
    this.link();
    this.setView(bestView(image));
    pane.show(image);
    await pane.seen();
    pane.element.dataset.picture = this.contrast ?? "brain";
  }

  // Draw what lies over it.
  over(layers) {
    this.layers = layers;
    this.under.append(layers.scale);
    return this.paint();
  }

  // Load a contrast once, with the reports' window: 0.5 to 99.5 % of what is not background.
  async base(contrast) {
    if (!this.images.has(contrast)) {
      const image = await load(this.folder + (this.scans[contrast] ?? this.fallback));
      image.first = contrast ? greyWindow(image) : [image.global_min, image.global_max];
      [image.cal_min, image.cal_max] = image.first;
      this.images.set(contrast, image);
    }
    return this.images.get(contrast);
  }

  // The pseudo-healthy counterpart is of the first contrast, and is shown in its window.
  async pseudoImage() {
    if (!this.images.has("pseudo-healthy")) this.images.set("pseudo-healthy", await load(this.folder + this.pseudo));
    await this.base(this.first);
    const [low, high] = this.window();
    return Object.assign(this.images.get("pseudo-healthy"), { cal_min: low, cal_max: high });
  }

  get first() {
    return this.contrasts[0] ?? null;
  }

  // Return the window of the first contrast.
  window() {
    const { cal_min: low = 0, cal_max: high = 1 } = this.images.get(this.first) ?? {};
    return [low, high];
  }

  // Draw what lies over the scans, after a layer changed.
  async paint() {
    const images = await this.layers.images();
    await Promise.all(this.panes.map(async (pane) => {
      if (!pane.overlaid || !pane.base) return;
      const [base, ...before] = pane.nv.volumes;
      if (before.length !== images.length || before.some((image, index) => image !== images[index])) pane.stack([base, ...images]);
      await pane.paint();
    }));
  }

  link() {
    Object.assign(this.lead, { overlaid: true, of: this.contrast });
    link(this.panes, (place, pane) => {
      this.describe(place);
      this.told(place, pane);
    });
    this.panes.forEach((pane) => {
      pane.windowed = (window) => {
        if (pane.of === this.first) this.layers?.setWindow(window);
        for (const other of this.panes) if (other !== pane && other.of === pane.of) other.setWindow(window);
      };
    });
  }

  setView(view) {
    this.view = view;
    for (const pane of this.panes) pane.setView(view);
  }

  async setContrast(contrast) {
    if (!(contrast in this.scans)) return;
    this.contrast = contrast;
    this.lead.of = contrast;
    this.lead.name(contrast);
    this.lead.show(await this.base(contrast), this.lead.nv.volumes.slice(1));
  }

  async setMode(mode) {
    if (mode !== "single" && mode !== "side" && !this.pseudo) return say("This method has no pseudo-healthy counterpart.");
    clearInterval(this.blinking);
    this.mode = mode;
    this.panes.slice(1).forEach((pane) => pane.close());
    this.panes.length = 1;
    this.place.dataset.mode = mode;
    this.swipe.hidden = mode !== "swipe";
    if (mode === "side") await this.beside();
    else if (mode !== "single") await this.above();
    this.link();
    this.setView(this.view);
    if (this.panes.length > 1) this.lead.nv.createOnLocationChange();
    await this.paint();
    for (const pane of this.panes.slice(1)) pane.element.dataset.picture = pane.caption.textContent; // all is in its place
  }

  async beside() {
    for (const contrast of this.contrasts.filter((name) => name !== this.contrast)) {
      const pane = await Pane.open(this.place, contrast);
      Object.assign(pane, { overlaid: true, of: contrast });
      pane.show(await this.base(contrast));
      this.panes.push(pane);
    }
    if (this.pseudo) await this.addPseudo();
  }

  async addPseudo() {
    const pane = await Pane.open(this.place, "Pseudo-healthy");
    pane.of = this.first;
    pane.show(await this.pseudoImage());
    this.panes.push(pane);
    return pane;
  }

  async above() {
    const pane = await this.addPseudo();
    pane.element.classList.add("above");
    pane.canvas.tabIndex = -1;
    if (this.mode === "swipe") this.part();
    else this.blinking = setInterval(() => this.flip(), BLINK_MS);
  }

  // The whole picture, in the window that it had at first.
  reset() {
    this.lead.unzoom();
    this.lead.setWindow(this.lead.base.first);
    this.lead.windowed(this.lead.base.first);
  }

  // Darker or brighter, softer or harder, by shares of the window.
  shiftWindow(up, wider) {
    const [low, high] = this.lead.window();
    const width = high - low;
    const middle = (low + high) / 2 + up * width;
    const half = (width * (1 + wider)) / 2;
    this.lead.setWindow([middle - half, middle + half]);
    this.lead.windowed(this.lead.window());
  }

  flip() {
    this.panes[1]?.element.classList.toggle("away");
  }

  part() {
    const pane = this.panes[1];
    if (pane) pane.element.style.clipPath = `inset(0 0 0 ${this.swipe.value}%)`;
  }

  describe(place) {
    const voxel = Array.from(place.vox).slice(0, 3);
    const values = place.values.slice(0, 1).map(({ value }) => `${this.contrast ?? "value"} ${significant(value, 4)}`);
    fill(this.values, position(place.mm), " · ", `voxel ${voxel.join(", ")}`, " · ", values);
  }

  close() {
    clearInterval(this.blinking);
    this.panes.forEach((pane) => pane.close());
    this.panes = [];
  }
}

function greyWindow(image) {
  const values = image.img;
  const slope = image.hdr.scl_slope || 1;
  const offset = image.hdr.scl_inter || 0;
  const step = Math.max(1, Math.floor(values.length / 400000));
  const inside = [];
  for (let n = 0; n < values.length; n += step) {
    const value = values[n] * slope + offset;
    if (value > image.global_min) inside.push(value);
  }
  if (inside.length < 10) return [image.global_min, image.global_max];
  inside.sort((a, b) => a - b);
  const [low, high] = [0.005, 0.995].map((share) => inside[Math.floor(share * (inside.length - 1))]);
  return [Math.min(low, Math.max(0, low - 0.1 * (high - low))), high + 0.05 * (high - low)];
}
