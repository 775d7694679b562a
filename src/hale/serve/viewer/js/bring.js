// Bring a scan: drop files or folders, or pick; then choose what looks at it.

import { post, upload } from "./api.js";
import { fill, h, say } from "./dom.js";
import { count } from "./words.js";

const CONTRASTS = ["T1w", "T2w", "FLAIR", "PDw", "T1w-ce", "CT"];

// Return {element, stop}. `started` is called with nothing once jobs wait.
export function bring({ models, scans, started }) {
  const leave = new AbortController();
  const chosen = h("div", { class: "chosen", "aria-live": "polite" });
  const files = h("input", { type: "file", multiple: true, hidden: true, onchange: () => take(fromInput(files)) });
  const folder = h("input", { type: "file", webkitdirectory: true, hidden: true, onchange: () => take(fromInput(folder)) });
  const zone = h("div", { class: "drop", id: "drop" },
    h("p", { class: "drop-words" }, "Drop a scan here"),
    h("p", { class: "quiet small" }, "NIfTI, several contrasts together, a DICOM folder or its zip, a slice as .npy or PNG. ",
      "It stays on this computer."),
    h("div", { class: "line middle" },
      h("button", { type: "button", class: "primary", onclick: () => files.click() }, "Choose files"),
      h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder")),
    scans.length > 0 && pick(scans, (scan) => offer({ scan: scan.id }, [{ id: null, name: scan.name, contrasts: scan.contrasts, notes: [] }])),
    files, folder);
  watchDrops(zone, leave.signal, async (transfer) => take(await fromDrop(transfer)));

  async function take(found) {
    files.value = folder.value = "";
    if (!found.length) return say("There are no files in that.");
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Upload" });
    fill(chosen, h("p", {}, `Reading ${count(found.length, "file")} …`), bar);
    try {
      const { id, exams } = await upload(found, (share) => { bar.value = share; });
      offer({ upload: id }, exams);
    } catch (problem) {
      refuse(problem);
    }
  }

  function refuse(problem) {
    fill(chosen, h("div", { class: "banner bad", role: "alert" }, problem.message));
  }

  function offer(source, exams) {
    fill(chosen, form({ source, exams, models, refuse, begun: () => { fill(chosen); started(); } }));
    chosen.querySelector("input, select, button")?.focus();
  }

  const element = h("section", { class: "block bring", "aria-labelledby": "bring-title" },
    h("h1", { id: "bring-title" }, "Bring a scan"), zone, chosen);
  return { element, stop: () => leave.abort() };
}

function pick(scans, take) {
  const list = h("select", { id: "pick-scan" }, scans.map((scan, index) =>
    h("option", { value: index }, [scan.name, scan.contrasts.join(", ")].filter(Boolean).join(" · "))));
  return h("div", { class: "line middle pick" }, h("label", { for: "pick-scan", class: "small quiet" }, "or one of the folder"),
    list, h("button", { type: "button", onclick: () => take(scans[Number(list.value)]) }, "Take it"));
}

// Return the form that turns an upload's exams into jobs.
function form({ source, exams, models, refuse, begun }) {
  const boxes = exams.map((exam, index) => h("input", { type: "checkbox", checked: true, value: index }));
  const unsaid = h("option", { value: "" });
  const contrast = h("select", { id: "contrast" }, unsaid, CONTRASTS.map((name) => h("option", { value: name }, name)));
  const contrastLabel = h("span", {});
  const insist = h("input", { type: "checkbox" });
  const series = exams.some((exam) => exam.kind === "DICOM") && h("input", { type: "text", id: "series", placeholder: "T1w=5 FLAIR=7" });
  const wanted = models.map((model, index) => h("input", { type: "checkbox", value: index, checked: index === firstChoice(models), disabled: Boolean(model.refused) }));
  const start = h("button", { type: "submit", class: "primary" }, "Start");
  for (const field of [...boxes, series].filter(Boolean)) field.addEventListener("input", tell);
  tell();
  return h("form", { class: "start", onsubmit: go },
    h("fieldset", {}, h("legend", {}, count(exams.length, "exam")), exams.map((exam, index) =>
      h("label", { class: "check" }, boxes[index], h("span", {}, h("b", {}, exam.name), " ",
        h("span", { class: "quiet" }, contrastWords(exam)),
        (exam.notes ?? []).map((note) => h("span", { class: "note small quiet" }, note)))))),
    h("fieldset", {}, h("legend", {}, "Looked at by"), h("div", { class: "models" },
      models.map((model, index) => h("label", { class: "check" }, wanted[index], modelWords(model)))),
      h("p", { class: "small quiet" }, "Intensity answers first, while the others still run.")),
    h("div", { class: "line" },
      h("label", { class: "field", for: "contrast" }, contrastLabel, contrast),
      series && h("label", { class: "field", for: "series" }, h("span", {}, "DICOM series, where several fit"), series),
      h("label", { class: "check" }, insist, h("span", {}, "Go on where quality control refuses"))),
    h("div", { class: "line" }, start));

  function picked() {
    return exams.filter((_, index) => boxes[index].checked);
  }

  // Where neither files nor the series say the contrast, the reader must.
  function tell() {
    const isNeeded = !seriesOf(series && series.value) && picked().some(isUnknown);
    contrast.required = isNeeded;
    contrastLabel.textContent = isNeeded ? "Contrast, which the files do not say" : "Contrast";
    unsaid.textContent = isNeeded ? "choose" : "as the files say";
  }

  async function go(event) {
    event.preventDefault();
    const chosen = picked();
    const names = models.filter((_, index) => wanted[index].checked).map((model) => model.id);
    if (!chosen.length || !names.length) return say("Choose an exam, and what looks at it.");
    start.disabled = true;
    try {
      for (const exam of chosen) {
        await post("/api/jobs", { ...source, exam: exam.id ?? undefined, models: names,
          contrast: contrast.required && !isUnknown(exam) ? undefined : contrast.value || undefined, insist: insist.checked, series: seriesOf(series && series.value) });
      }
      begun();
    } catch (problem) {
      start.disabled = false;
      refuse(problem);
    }
  }
}

// Return the series of each contrast from words such as `T1w=5 FLAIR=7`; undefined without any.
function seriesOf(words) {
  const pairs = (words || "").split(/\s+/).map((part) => part.split("=")).filter((pair) => pair.length === 2 && pair[1]);
  return pairs.length ? Object.fromEntries(pairs) : undefined;
}

const isUnknown = ({ contrasts = [] }) => !contrasts.length || contrasts.includes("?");

const contrastWords = ({ contrasts = [] }) => contrasts.map((name) => (name === "?" ? "contrast not known" : name)).join(", ") || "contrast not known";

function firstChoice(models) {
  const calibrated = models.findIndex((model) => model.calibrated && !model.refused);
  return calibrated >= 0 ? calibrated : models.findIndex((model) => !model.refused);
}

function modelWords(model) {
  const slots = (model.contrasts ?? []).map((slot) => (slot.length >= CONTRASTS.length ? "any contrast" : slot.join(" or ")));
  const name = model.kind === "model" ? model.name : model.title || model.name;
  return h("span", {}, h("b", {}, name), " ",
    h("span", { class: "quiet small" }, [model.kind === "model" && model.method !== name ? model.method : "", slots.join(" + ") || "any contrast",
      model.calibrated ? "" : "no p-values", model.refused].filter(Boolean).join(" · ")));
}

function fromInput(input) {
  return Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath || file.name }));
}

// Read all files of a drop, folders included, with their paths in it.
async function fromDrop(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files, (file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, above, found) {
  const path = above + entry.name;
  if (entry.isFile) {
    found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), path });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader hands out at most 100 entries a call
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const child of some) await walk(child, `${path}/`, found);
  }
}

// The whole page takes drops; the zone shows it.
function watchDrops(zone, signal, dropped) {
  let depth = 0;
  const on = (name, work) => document.addEventListener(name, (event) => { event.preventDefault(); work(event); }, { signal });
  on("dragenter", () => zone.classList.toggle("over", ++depth > 0));
  on("dragleave", () => zone.classList.toggle("over", --depth > 0));
  on("dragover", () => {});
  on("drop", (event) => { depth = 0; zone.classList.remove("over"); dropped(event.dataTransfer); });
}
