// A benchmark: any case of any method against its reference mask; true, missed, false.

import { address, get } from "./api.js";
import { fill, h, segments } from "./dom.js";
import { load, OUTCOMES, paintLabels } from "./engine.js";
import { setKeys } from "./keyboard.js";
import { Pane } from "./pane.js";
import { figure, volume } from "./words.js";

const LEGEND = [["true", "True: found lesion"], ["missed", "Missed lesion"], ["false", "False alarm"]];

export async function show(main, [id]) {
  const board = await get(`/api/benchmarks/${id}`);
  document.getElementById("where").textContent = board.suite.title || board.suite.name;
  const rows = board.rows.filter((row) => row.cases.length > 0);
  if (!rows.length) {
    fill(main, h("div", { class: "page" }, h("h1", {}, board.suite.title), h("p", {}, "This benchmark has no case to show.")));
    return null;
  }
  const state = { row: rows[0], case: rows[0].cases[0], view: "all" };
  const cohorts = [...new Map(rows.map((row) => [row.cohort, row])).values()];
  const title = (name) => board.cohorts.find((cohort) => cohort.name === name)?.title ?? name;
  const cohort = h("select", { id: "cohort", onchange: () => choose(rows.find((row) => row.cohort === cohort.value)) }, cohorts.map((row) => h("option", { value: row.cohort }, title(row.cohort))));
  const method = h("select", { id: "method", onchange: () => choose(rows.find((row) => row.method === method.value && row.cohort === state.row.cohort)) });
  const body = h("tbody");
  const facts = h("div");
  const said = h("p", { class: "small quiet", role: "status" });
  const place = h("div", { class: "panes", "data-mode": "single" });
  const views = segments("Planes", [["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"], ["all", "All"]], "all", (view) => { state.view = view; pane.setView(view); });
  fill(main, h("div", { class: "reading" },
    h("div", { class: "pictures" }, h("div", { class: "line toolbar", role: "toolbar", "aria-label": "Pictures" }, views),
      h("div", { class: "stage" }, place, h("p", { class: "legend small" }, LEGEND.map(([kind, text]) => [h("span", { class: `swatch outcome-${kind}` }), text, " "])), said)),
    h("div", { class: "panel" }, h("h1", {}, board.suite.title || board.suite.name),
      h("div", { class: "line" }, h("label", { class: "field", for: "cohort" }, h("span", {}, "Cohort"), cohort), h("label", { class: "field", for: "method" }, h("span", {}, "Method"), method)),
      facts, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Cases" }, h("table", {},
        h("caption", {}, "Cases, the best AUPRC first. The mask is what the calibration keeps; best Dice is an oracle."),
        h("thead", {}, h("tr", {}, ["Case", "Lesion", "AUPRC", "Dice", "Best Dice (oracle)"].map((text) => h("th", { scope: "col" }, text)))), body)))));

  const pane = await Pane.open(place, "");
  let turn = 0;

  async function choose(row, wanted) {
    state.row = row;
    state.cases = [...row.cases].sort((a, b) => (b.auprc ?? -1) - (a.auprc ?? -1));
    cohort.value = row.cohort;
    fill(method, rows.filter((other) => other.cohort === row.cohort).map((other) =>
      h("option", { value: other.method }, `${other.title}${other.supervision === "lesion masks" ? " (learnt from lesion masks)" : ""}`)));
    method.value = row.method;
    const { auprc } = row.figures;
    fill(facts, h("p", { class: "small" }, `${title(row.cohort)}, ${row.contrast}, ${row.disease}. AUPRC ${figure(auprc?.value, 3)}`,
      auprc?.low !== undefined && auprc?.low !== null && ` (${figure(auprc.low, 3)} to ${figure(auprc.high, 3)})`, `, ${row.cases.length} cases.`));
    await open(state.cases.find((one) => one.id === wanted) ?? state.cases[0]);
  }

  async function open(one) {
    const mine = ++turn;
    state.case = one;
    list();
    const run = `${state.row.method}.s${state.row.seeds?.[0] ?? 0}.f${state.row.folds?.[0] ?? 0}`;
    const asked = { run, cohort: state.row.cohort, case: one.id };
    said.textContent = "Loading …";
    try {
      const base = `/api/benchmarks/${id}/case`;
      const scan = await load(address(`${base}/scan.nii.gz`, asked), { name: "scan.nii.gz" });
      const outcome = await load(address(`${base}/outcome.nii.gz`, asked), { name: "outcome.nii.gz", opacity: 0.55 });
      if (mine !== turn) return;
      paintLabels(outcome, OUTCOMES);
      pane.name(`${one.id} · ${state.row.title}`);
      pane.show(scan, [outcome]);
      pane.setView(state.view);
      const heart = middle(outcome);
      if (heart) pane.to(heart);
      said.textContent = "";
    } catch (problem) {
      if (mine === turn) said.textContent = problem.message;
    }
  }

  function list() {
    fill(body, state.cases.map((one) => h("tr", { class: "row", "aria-current": one === state.case ? "true" : null, onclick: () => open(one) },
      h("th", { scope: "row" }, h("button", { type: "button", class: "small-button" }, one.id)),
      h("td", {}, volume(one.lesion_ml)), h("td", {}, figure(one.auprc, 3)), h("td", {}, figure(one.dice_at_alpha)), h("td", {}, figure(one.best_dice_oracle)))));
  }

  const next = (step) => open(state.cases[(state.cases.indexOf(state.case) + step + state.cases.length) % state.cases.length]);
  setKeys({
    ArrowUp: () => pane.inPlane(0, 1), ArrowDown: () => pane.inPlane(0, -1), ArrowLeft: () => pane.inPlane(-1, 0), ArrowRight: () => pane.inPlane(1, 0),
    PageUp: () => pane.slice(1), PageDown: () => pane.slice(-1), "+": () => pane.zoom(1.2), "-": () => pane.zoom(1 / 1.2), 0: () => pane.unzoom(),
    1: () => views.pick("axial"), 2: () => views.pick("coronal"), 3: () => views.pick("sagittal"), 4: () => views.pick("all"), n: () => next(1), p: () => next(-1),
  });
  await choose(state.row);
  return () => { setKeys(null); pane.close(); };
}

// Return the position, mm, of the middle of what is labelled lesion (else of any label).
function middle(image) {
  for (const wanted of [(label) => label === 1 || label === 2, (label) => label > 0]) {
    const [across, back] = image.hdr.dims.slice(1, 3);
    const sum = [0, 0, 0];
    let found = 0;
    image.img.forEach((label, n) => {
      if (!wanted(label)) return;
      sum[0] += n % across;
      sum[1] += Math.floor(n / across) % back;
      sum[2] += Math.floor(n / (across * back));
      found++;
    });
    if (found) {
      const [i, j, k] = sum.map((total) => total / found);
      return image.hdr.affine.slice(0, 3).map((line) => line[0] * i + line[1] * j + line[2] * k + line[3]);
    }
  }
  return null;
}
