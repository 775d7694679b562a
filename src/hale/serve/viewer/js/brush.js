// Correct the mask: brush, erase, undo; kept beside the result, never over it.

import { putMask } from "./api.js";
import { load } from "./engine.js";
import { h, say, segments } from "./dom.js";
import { asDrawn, asStored, gridOf, isSameGrid } from "./grids.js";
import { keepLargest } from "./regions.js";
import { whoIs } from "./who.js";

const MOST = 200; // regions that a drawing starts from: a mask counts to 255
const SIZES = [1, 3, 5, 9, 15];

export class Brush {
  constructor({ id, folder, files, stage, threshold, kept }) {
    Object.assign(this, { id, folder, files, stage, threshold, kept, tool: "look", size: 3, strokes: 0, keptStrokes: 0 });
    this.tools = segments("Tool", [["look", "Look"], ["paint", "Brush", "Key: d"], ["erase", "Erase", "Key: e"]], "look", (tool) => this.use(tool));
    this.sizes = h("select", { id: "brush-size", onchange: () => this.setSize(Number(this.sizes.value)) },
      SIZES.map((size) => h("option", { value: size, selected: size === this.size }, `${size} voxel${size > 1 ? "s" : ""}`)));
    const starts = [files.reviewed && ["reviewed", "the last correction"], files.mask && ["mask", "the mask"], ["threshold", "the threshold"], ["nothing", "nothing"]].filter(Boolean);
    this.start = h("select", { id: "brush-start" }, starts.map(([value, text]) => h("option", { value }, text)));
    this.undoButton = h("button", { type: "button", onclick: () => this.undo(), disabled: true }, "Undo");
    this.keepButton = h("button", { type: "button", class: "primary", onclick: () => this.keep(), disabled: true }, "Keep the correction");
    this.state = h("p", { class: "small quiet", role: "status" }, "");
    this.element = h("div", { class: "brush" },
      h("div", { class: "line" }, this.tools, this.undoButton),
      h("div", { class: "line" }, h("label", { class: "field", for: "brush-size" }, h("span", {}, "Width"), this.sizes),
        h("label", { class: "field", for: "brush-start" }, h("span", {}, "Start from"), this.start)),
      h("div", { class: "line" }, this.keepButton), this.state,
      h("p", { class: "small quiet" }, "By keyboard: arrows move the crosshair, ", h("kbd", {}, "Space"), " paints or erases there."));
  }

  // Whether something was drawn that is not kept.
  get changed() {
    return this.strokes > this.keptStrokes;
  }

  get nv() {
    return this.stage.lead.nv;
  }

  async use(tool) {
    this.tools.show(tool);
    this.tool = tool;
    if (tool !== "look" && !this.nv.drawBitmap && !(await this.begin())) {
      this.tool = "look";
      this.tools.show("look");
      return;
    }
    this.nv.setDrawingEnabled(tool !== "look");
    this.nv.setPenValue(tool === "erase" ? 0 : 1, false);
    this.nv.opts.penSize = this.size;
    this.stage.element.dataset.tool = tool;
    if (tool !== "look") say(tool === "paint" ? "Brush: drag on the picture" : "Erase: drag on the picture", 2);
  }

  setSize(size) {
    this.size = size;
    this.nv.opts.penSize = size;
  }

  // Return the image in whose file's order a correction is kept.
  async anomaly() {
    const layer = this.stage.layers.get("anomaly");
    if (!layer.image) await this.stage.layers.fetch(layer);
    return layer.image;
  }

  // Say whether the scan of a contrast may come under the drawing, or there is none.
  async fits(contrast) {
    return !this.nv.drawBitmap || isSameGrid(await this.stage.base(contrast), await this.anomaly());
  }

  // Put what the correction starts from on the canvas; on it lie voxels of 0 and 1.
  async begin() {
    const from = this.start.value;
    try {
      if (!isSameGrid(this.stage.lead.base, await this.anomaly())) {
        throw new Error(`${this.stage.contrast ?? "The picture"} has other voxels than the map: choose ${this.stage.first ?? "another contrast"} to draw on.`);
      }
      this.nv.createEmptyDrawing();
      if (from === "mask" || from === "reviewed") await this.fromFile(this.files[from]);
      else if (from === "threshold") await this.fromThreshold();
    } catch (problem) {
      this.nv.closeDrawing();
      say(problem.message);
      return false;
    }
    if (this.files.mask) this.stage.layers.toggle("mask", false, false); // the drawing is in its place
    this.nv.drawClearAllUndoBitmaps();
    this.nv.drawAddUndoBitmap();
    this.nv.setDrawColormap({ R: [0, 0], G: [0, 255], B: [0, 170], A: [0, 255], labels: ["", "lesion"] });
    this.nv.setDrawOpacity(0.45);
    this.nv.refreshDrawing(true);
    this.nv.onDrawingChanged = () => this.touched();
    this.start.disabled = true;
    this.state.textContent = `Drawing over ${this.start.selectedOptions[0].textContent}. Not kept yet.`;
    return true;
  }

  async fromFile(name) {
    const image = await load(this.folder + name);
    if (!isSameGrid(image, await this.anomaly())) throw new Error("The mask does not lie on the map's grid.");
    this.nv.drawBitmap.set(asDrawn(image, (value) => value > 0));
  }

  async fromThreshold() {
    const image = await this.anomaly();
    const drawn = asDrawn(image, (value) => value > this.threshold.z);
    const gone = keepLargest(drawn, image.dimsRAS.slice(1), MOST);
    this.nv.drawBitmap.set(drawn);
    if (gone) say(`The ${MOST} largest regions are taken; ${gone} smaller ones are not.`);
  }

  touched() {
    this.strokes += 1;
    this.undoButton.disabled = this.keepButton.disabled = false;
    this.state.textContent = "Corrected. Not kept yet.";
  }

  undo() {
    if (!this.nv.drawBitmap) return say("Nothing was drawn.");
    this.nv.drawUndo();
    return say("Taken back", 1.5);
  }

  // Paint or erase a disc at the crosshair, in the plane in which the arrows move it.
  stamp() {
    if (this.tool === "look" || !this.nv.drawBitmap) return false;
    const [x, y, z] = Array.from(this.nv.frac2vox(this.nv.scene.crosshairPos));
    this.nv.drawPenAxCorSag = { coronal: 1, sagittal: 2 }[this.stage.lead.view] ?? 0;
    this.nv.drawPt(x, y, z, this.tool === "erase" ? 0 : 1);
    this.nv.drawPenAxCorSag = -1;
    this.nv.drawAddUndoBitmap();
    this.nv.refreshDrawing(true);
    this.touched();
    return true;
  }

  async keep() {
    const who = await whoIs();
    if (!who || !this.nv.drawBitmap) return;
    this.keepButton.disabled = true;
    const { strokes } = this;
    try {
      const image = await this.anomaly();
      const review = await putMask(this.id, asStored(image, this.nv.drawBitmap), gridOf(image), who);
      this.keptStrokes = strokes;
      if (!this.changed) this.state.textContent = `Kept by ${who}.`;
      this.kept(review);
    } catch (problem) {
      this.keepButton.disabled = false;
      say(problem.message);
    }
  }
}
