// One picture: a canvas that NiiVue draws on, its layers, its crosshair.

import { engine } from "./engine.js";
import { h } from "./dom.js";

const UNSEEN_MS = 500;
export const VIEWS = { axial: 0, coronal: 1, sagittal: 2, all: 3, solid: 4 };
// Voxel axis that each view cuts across; of all planes together, the axial one's.
const ACROSS = { axial: 2, coronal: 1, sagittal: 0, all: 2, solid: 2 };
// Return the view that shows an image best: of a single slice its plane, else all planes.
export function bestView(image) {
  return ["sagittal", "coronal", "axial"][image.dimsRAS.slice(1, 4).indexOf(1)] ?? "all";
}

// Of all planes together: the axial one large, the others beside or below it.
const WIDE = layout([0, [0, 0, 0.6, 1]], [1, [0.6, 0, 0.4, 0.5]], [2, [0.6, 0.5, 0.4, 0.5]]);
const TALL = layout([0, [0, 0, 1, 0.6]], [1, [0, 0.6, 0.5, 0.4]], [2, [0.5, 0.6, 0.5, 0.4]]);

function layout(...tiles) {
  return tiles.map(([sliceType, position]) => ({ sliceType, position }));
}

export class Pane {
  // Return a pane, drawn into `host`; `label` is shown in its corner.
  static async open(host, label) {
    const { Niivue, DRAG_MODE } = await engine();
    const nv = new Niivue({
      logLevel: "error", loadingText: "", dragAndDropEnabled: false, isRadiologicalConvention: true,
      sagittalNoseLeft: true, backColor: [0, 0, 0, 1], crosshairColor: [1, 0.84, 0.4, 0.6], crosshairWidth: 0.4, crosshairWidthUnit: "mm",
      showAllOrientationMarkers: true, fontColor: [0.85, 0.87, 0.9, 1], multiplanarShowRender: 0, multiplanarPadPixels: 4,
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", maxDrawUndoBitmaps: 30, isAntiAlias: false,
    });
    const canvas = h("canvas", { tabindex: 0, role: "img" });
    const caption = h("figcaption", {}, label);
    const figure = h("figure", { class: "pane" }, h("div", { class: "screen" }, canvas), caption);
    host.append(figure);
    const pane = new Pane(nv, figure, canvas, caption);
    pane.mouse(DRAG_MODE);
    await nv.attachToCanvas(canvas);
    nv.setAtlasOutline(1);
    skipGradients(nv);
    pane.name(label);
    return pane;
  }

  constructor(nv, element, canvas, caption) {
    Object.assign(this, { nv, element, canvas, caption, view: "all", moved: () => {}, windowed: () => {} });
    Object.assign(this, { busy: null, again: false, steps: [0, 0, 0] });
    element.pane = this; // for the console, and for tests
    nv.onLocationChange = (place) => this.moved(place);
    canvas.addEventListener("mouseup", () => this.base && this.windowed(this.window()));
    canvas.addEventListener("dblclick", (event) => event.stopImmediatePropagation(), true);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { capture: true, passive: false });
  }

  // Left: crosshair; right, or Ctrl and left: window; middle, or Shift and left: pan.
  mouse(modes) {
    this.nv.setMouseEventConfig({
      leftButton: { primary: modes.crosshair, withShift: modes.pan, withCtrl: modes.windowing },
      rightButton: modes.windowing, centerButton: modes.pan,
    });
  }

  wheel(event) {
    if (!event.ctrlKey) return; // NiiVue scrolls slices
    event.preventDefault();
    event.stopImmediatePropagation();
    this.zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
  }

  name(label) {
    this.caption.textContent = label;
    this.canvas.setAttribute("aria-label", `${label}. Arrow keys move the crosshair, Page Up and Page Down the slice; ? lists all keys.`);
  }

  get base() {
    return this.nv.volumes[0];
  }

  // Draw `base` under `overlays`, all of them images; those of before go.
  show(base, overlays = []) {
    const before = this.nv.volumes.length > 0;
    const mm = before ? this.mm() : null;
    this.stack([base, ...overlays]);
    this.nv.updateGLVolume();
    if (mm) this.to(mm);
    else this.nv.createOnLocationChange();
  }

  // Say what NiiVue draws, from the lowest, without drawing it yet.
  stack(images) {
    Object.assign(this.nv, { volumes: images, back: images[0], overlays: images.slice(1) });
  }

  // Draw the overlays anew after one changed; the base, which takes longest, stays.
  paint() {
    this.again = true;
    return (this.busy ??= this.work());
  }

  // Return when all that was asked for is on the screen: never more than one picture is under way.
  async work() {
    await null; // those who ask now wait for the same
    try {
      while (this.again || this.steps.some((step) => step)) await this.draw();
    } finally {
      this.busy = null;
    }
  }

  async draw() {
    const { nv, steps } = this;
    if (!this.base) this.again = false;
    if (this.again) {
      nv.refreshColormaps();
      nv.volumes.forEach((image, layer) => layer && nv.refreshLayers(image, layer));
    }
    Object.assign(this, { again: false, steps: [0, 0, 0] });
    if (this.base && steps.some((step) => step)) nv.moveCrosshairInVox(...steps);
    else nv.drawScene();
    await this.drawn();
  }

  // Return when the graphics card has done what it was told.
  async drawn() {
    const { gl } = this.nv;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (!gl.isContextLost() && gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) await new Promise((done) => setTimeout(done, 4));
    gl.deleteSync(fence);
  }

  // Return when the browser has put what was drawn on the screen; a tab that nobody sees puts nothing there.
  async seen() {
    await this.drawn();
    await new Promise((done) => {
      requestAnimationFrame(() => setTimeout(done));
      setTimeout(done, UNSEEN_MS);
    });
  }

  window() {
    return [this.base.cal_min, this.base.cal_max];
  }

  setWindow([low, high]) {
    if (!this.base || (this.base.cal_min === low && this.base.cal_max === high)) return;
    Object.assign(this.base, { cal_min: low, cal_max: high });
    this.nv.refreshLayers(this.base, 0);
    this.nv.drawScene();
  }

  setView(view) {
    this.view = view;
    if (view === "all") this.nv.setCustomLayout(this.isWide ? WIDE : TALL);
    else this.nv.clearCustomLayout();
    this.nv.setSliceType(VIEWS[view]);
  }

  get isWide() {
    return this.canvas.clientWidth > this.canvas.clientHeight;
  }

  // Position of the crosshair, mm RAS+.
  mm() {
    return Array.from(this.nv.frac2mm(this.nv.scene.crosshairPos)).slice(0, 3);
  }

  to(mm, tell = true) {
    this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
    if (tell) this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  // Move the crosshair by voxels to the right, the front and the top.
  step(...by) {
    this.steps = this.steps.map((step, axis) => step + by[axis]);
    return (this.busy ??= this.work());
  }

  slice(by) {
    const steps = [0, 0, 0];
    steps[ACROSS[this.view]] = by;
    this.step(...steps);
  }

  // Move within the plane: to the picture's right and top.
  inPlane(right, up) {
    const across = ACROSS[this.view];
    if (across === 0) this.step(0, -right, up); // the nose is on the left
    else if (across === 1) this.step(-right, 0, up); // the patient's right is on the left
    else this.step(-right, up, 0);
  }

  zoom(factor) {
    const [x, y, z, zoom] = this.nv.scene.pan2Dxyzmm;
    const now = Math.min(10, Math.max(0.5, zoom * factor));
    const mm = this.mm();
    const pan = [x, y, z].map((value, axis) => value + (zoom - now) * mm[axis]); // the crosshair stays
    this.nv.scene.volScaleMultiplier = now;
    this.nv.setPan2Dxyzmm([...pan, now]);
  }

  unzoom() {
    this.nv.scene.volScaleMultiplier = 1;
    this.nv.setPan2Dxyzmm([0, 0, 0, 1]);
  }

  close() {
    const context = this.nv.gl;
    this.nv.cleanup();
    this.element.remove();
    context?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// Let panes move together: crosshair, zoom, and window where they show the same contrast.
export function link(panes, moved) {
  let leading = false;
  for (const pane of panes) {
    pane.moved = (place) => {
      if (leading) return;
      leading = true;
      const mm = Array.from(place.mm).slice(0, 3);
      for (const other of panes) {
        if (other === pane || !other.base) continue;
        other.nv.scene.pan2Dxyzmm = Float32Array.from(pane.nv.scene.pan2Dxyzmm);
        other.to(mm, false);
      }
      leading = false;
      moved(place, pane);
    };
  }
}

// Gradients light NiiVue's 3-D surfaces, which are not used here; without a GPU they take as long as all the rest.
function skipGradients(nv) {
  const { gl, passThroughShader: shader } = nv;
  const none = { uniforms: shader.uniforms, use() { shader.use(gl); gl.enable(gl.RASTERIZER_DISCARD); } };
  nv.blurShader = nv.sobelFirstOrderShader = none;
  nv.refreshLayers = (image, layer) => {
    Object.getPrototypeOf(nv).refreshLayers.call(nv, image, layer);
    gl.disable(gl.RASTERIZER_DISCARD);
  };
}
