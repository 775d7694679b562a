// NiiVue: loaded when first needed, its images and colours as the reports have them.

import { Problem } from "./api.js";
import { h } from "./dom.js";

let loading = null;

// Return NiiVue's module; refuse, in words, where the browser cannot draw.
export function engine() {
  loading ??= start();
  return loading;
}

function start() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new Problem("This browser has no WebGL2, which drawing needs. Switch on hardware acceleration in its settings, " +
      "or open the station in a current Firefox, Chrome, Edge or Safari.");
  }
  return new Promise((done, fail) => {
    const script = h("script", { src: "vendor/niivue.umd.js" });
    script.addEventListener("load", () => {
      prepare(new globalThis.niivue.Niivue({ logLevel: "error" }));
      done(globalThis.niivue);
    });
    script.addEventListener("error", () => fail(new Problem("The viewer's code did not load.")));
    document.head.append(script);
  });
}

// Colours from low to high, as the reports' pictures have them.
const RAMPS = {
  heat: [[179, 0, 27], [255, 84, 0], [255, 176, 0], [255, 243, 163]],
  cold: [[18, 60, 160], [30, 120, 225], [70, 190, 245], [205, 245, 255]],
  rare: [[62, 20, 110], [150, 40, 150], [225, 90, 160], [255, 205, 235]],
};

// Make NiiVue quiet, and our colours known; both hold for all its instances.
function prepare(nv) {
  for (const [name, steps] of Object.entries(RAMPS)) {
    const at = [0, 1, ...steps.slice(1).map((_, index) => Math.round((255 * (index + 1)) / (steps.length - 1)))];
    const [R, G, B] = [0, 1, 2].map((channel) => [steps[0], ...steps].map((step) => step[channel]));
    nv.addColormap(name, { R, G, B, A: [0, ...steps.map(() => 255)], I: at }); // clear below the first
  }
}

export const CYAN = [0, 229, 255];
export const OUTCOMES = [[46, 204, 128], [255, 214, 0], [255, 77, 109]];
const GREEN = [111, 207, 151];
const GREY = [150, 155, 165];

// Colour labels 1, 2, ... of an image; colours are [r, g, b], of labels without one the last.
export function paintLabels(image, colours) {
  const last = Math.max(colours.length, image.global_max ?? 1);
  const labels = Array.from({ length: last }, (_, index) => colours[Math.min(index, colours.length - 1)]);
  const channel = (which) => [0, ...labels.map((colour) => colour[which])];
  image.hdr.intent_code = 1002; // NIFTI_INTENT_LABEL: drawn with an outline
  image.setColormapLabel({ R: channel(0), G: channel(1), B: channel(2), A: [0, ...labels.map(() => 255)],
    I: [0, ...labels.map((_, index) => index + 1)], labels: ["", ...labels.map((_, index) => String(index + 1))] });
}

// Colour the lesions of a mask by what the reader said of each.
export function paintVerdicts(image, verdicts) {
  const last = Math.max(1, image.global_max ?? 1);
  paintLabels(image, Array.from({ length: last }, (_, index) =>
    ({ accept: GREEN, reject: GREY })[verdicts[index + 1]] ?? CYAN));
}

// Load an image; `options` are NiiVue's.
export async function load(url, options = {}) {
  const { NVImage } = await engine();
  try {
    return await NVImage.loadFromUrl({ url, name: url, ...options });
  } catch (problem) {
    console.warn(problem);
    throw new Problem(`A picture did not load: ${url.split("/").pop().split("?")[0]}.`);
  }
}

// Put -log10 p in the place of p, so that rare is bright; 0 outside the brain.
export function rarity(image) {
  const values = image.img;
  let most = 0;
  for (let n = 0; n < values.length; n++) {
    values[n] = values[n] > 0 ? -Math.log10(values[n]) : 0;
    if (values[n] > most) most = values[n];
  }
  Object.assign(image, { cal_min: 2, cal_max: Math.max(2.5, most), global_min: 0, global_max: most });
}
