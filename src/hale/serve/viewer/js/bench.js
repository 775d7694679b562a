// A benchmark: any case of any method against its reference mask; true, missed, false.

import { address, get, Problem } from "./api.js";
import { fill, h, segments } from "./dom.js";
import { load, OUTCOMES, paintLabels } from "./engine.js";
import { setKeys } from "./keyboard.js";
import { bestView, Pane } from "./pane.js";
import { count, figure, volume } from "./words.js";

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
    const whole = row.figures[board.suite.figure ?? "auprc"];
    fill(facts, h("p", { class: "small" }, `${title(row.cohort)}, ${row.contrast}, ${row.disease}. AUPRC ${figure(whole?.value, 3)}`,
      typeof whole?.low === "number" && ` (${figure(whole.low, 3)} to ${figure(whole.high, 3)})`, `, ${count(row.cases.length, "case")}.`));
    await open(state.cases.find((one) => one.id === wanted) ?? state.cases[0]);
  }

  async function open(one) {
    const mine = ++turn;
    state.case = one;
    list();
    said.textContent = "Loading …";
    try {
      const told = await caseOf(one);
      const file = (name) => address(`/api/benchmarks/${id}/case/${name}`, { run: told.run, cohort: told.cohort, case: told.id });
      const scan = await load(file(told.files.scan), { name: told.files.scan });
      const outcome = await load(file(told.files.outcome), { name: told.files.outcome, opacity: 0.3 });
      if (mine !== turn) return;
      paintLabels(outcome, OUTCOMES);
      pane.name(`${one.id} · ${state.row.title}`);
      pane.show(scan, [outcome]);
      if (bestView(scan) !== "all") state.view = bestView(scan);
      views.pick(state.view);
      const heart = middle(outcome);
      if (heart) pane.to(heart);
      said.textContent = `Found by ${told.found_by}: true ${volume(told.true_ml)}, missed ${volume(told.missed_ml)}, false ${volume(told.false_ml)}.`;
      await pane.drawn();
    } catch (problem) {
      if (mine === turn) said.textContent = problem.message;
    }
  }

  // Ask each run of the method for the case: folds share the cases out.
  async function caseOf(one) {
    const { method, cohort } = state.row;
    const runs = Object.keys(board.runs).filter((run) => run.startsWith(`${method}.s`) && board.runs[run].includes(cohort));
    let refusal = new Problem("The maps of this method are not here: hale bench keeps them in maps/.");
    for (const run of runs) {
      try {
        return await get(`/api/benchmarks/${id}/case`, { run, cohort, case: one.id });
      } catch (problem) {
        refusal = problem;
      }
    }
    throw refusal;
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
