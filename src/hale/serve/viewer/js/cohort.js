// All results as a table: sort, filter, open, choose two to compare, one TSV out.

import { fill, h } from "./dom.js";
import { count, date, figure, volume } from "./words.js";

const COLUMNS = [
  { key: "name", title: "Scan" },
  { key: "model", title: "Model" },
  { key: "contrasts", title: "Contrast" },
  { key: "flagged", title: "Decision" },
  { key: "score", title: "Score", number: true },
  { key: "lesions", title: "Lesions", number: true },
  { key: "lesions_ml", title: "Volume", number: true },
  { key: "largest_ml", title: "Largest", number: true },
  { key: "quality", title: "Quality" },
  { key: "p_values_hold", title: "p-values" },
  { key: "reviewed", title: "Reviewed" },
  { key: "date", title: "Date" },
];

const FILTERS = {
  all: ["All", () => true],
  flagged: ["Flagged", (row) => row.flagged === true],
  clear: ["Not flagged", (row) => row.flagged === false],
  open: ["No p-values", (row) => row.flagged === null || row.flagged === undefined],
  doubt: ["In doubt", (row) => row.quality !== "pass" || row.out_of_domain || row.p_values_hold === false],
  unread: ["Not reviewed", (row) => !row.reviewed],
};

// Return {element, update(rows)}.
export function cohort(rows) {
  const state = { rows, sort: "date", down: true, words: "", filter: "all", picked: [] };
  const body = h("tbody");
  const heads = COLUMNS.map(({ key, title, number }) =>
    h("th", { scope: "col", class: number ? "right" : "" }, h("button", { type: "button", onclick: () => sortBy(key) }, title)));
  const caption = h("caption");
  const table = h("table", { class: "cohort" }, caption,
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Choose to compare")),
      h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Picture")), heads)), body);
  const compare = h("button", { type: "button", disabled: true, onclick: () => { location.hash = `#/compare/${state.picked.join("/")}`; } }, "Compare two");
  const search = h("input", { type: "search", placeholder: "Name, model, contrast", "aria-label": "Filter by words",
    oninput: () => { state.words = search.value.toLowerCase(); draw(); } });
  const kind = h("select", { "aria-label": "Which results", onchange: () => { state.filter = kind.value; draw(); } },
    Object.entries(FILTERS).map(([value, [title]]) => h("option", { value }, title)));
  const nothing = h("p", { class: "empty" });
  const element = h("section", { class: "block", "aria-labelledby": "results-title" },
    h("div", { class: "line heading" }, h("h2", { id: "results-title" }, "Results"), search, kind, compare,
      h("a", { class: "button", href: "/api/results.tsv", download: "results.tsv" }, "Save as TSV")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of results" }, table), nothing);

  function sortBy(key) {
    state.down = state.sort === key ? !state.down : COLUMNS.find((column) => column.key === key).number === true;
    state.sort = key;
    draw();
  }

  function pickRow(id, is) {
    state.picked = [...state.picked.filter((other) => other !== id), ...(is ? [id] : [])].slice(-2);
    draw();
  }

  function draw() {
    const shown = state.rows.filter(FILTERS[state.filter][1]).filter((row) => matches(row, state.words));
    shown.sort((a, b) => (state.down ? -1 : 1) * order(a[state.sort], b[state.sort]));
    heads.forEach((head, index) => head.setAttribute("aria-sort",
      COLUMNS[index].key !== state.sort ? "none" : state.down ? "descending" : "ascending"));
    caption.textContent = `${count(shown.length, "result")}${shown.length < state.rows.length ? ` of ${state.rows.length}` : ""}`;
    fill(body, shown.map((row) => line(row, state.picked.includes(row.id), pickRow)));
    table.hidden = !shown.length;
    nothing.hidden = shown.length > 0;
    nothing.textContent = state.rows.length ? "No result fits the filter." : "No results yet. Bring a scan, or start hale serve on a folder of results.";
    const two = state.picked.length === 2;
    compare.disabled = !two;
    compare.title = two ? "" : "Tick two results of one scan";
  }

  draw();
  return { element, update: (fresh) => { state.rows = fresh; draw(); } };
}

function matches(row, words) {
  return !words || [row.name, row.model, row.method, row.path, ...(row.contrasts ?? [])].join(" ").toLowerCase().includes(words);
}

function order(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function line(row, picked, pick) {
  const box = h("input", { type: "checkbox", checked: picked, "aria-label": `Compare ${row.name}, ${row.model || row.method}` });
  box.addEventListener("change", () => pick(row.id, box.checked));
  const open = `#/result/${row.id}`;
  return h("tr", { class: "row", "data-result": row.id },
    h("td", {}, box),
    h("td", {}, h("a", { href: open, tabindex: -1, "aria-hidden": "true" },
      h("img", { class: "thumb", src: `/api/results/${row.id}/thumbnail.png`, alt: "", loading: "lazy", width: 60, height: 60 }))),
    h("th", { scope: "row" }, h("a", { href: open }, row.name), h("span", { class: "path small quiet" }, row.path !== row.name ? row.path : "")),
    h("td", {}, row.model || row.method),
    h("td", {}, (row.contrasts ?? []).join(", ")),
    h("td", {}, decision(row)),
    h("td", { class: "right" }, figure(row.score)),
    h("td", { class: "right" }, row.lesions ?? "–"),
    h("td", { class: "right" }, volume(row.lesions_ml)),
    h("td", { class: "right" }, volume(row.largest_ml)),
    h("td", { class: "chips" }, h("span", { class: row.quality === "pass" ? "" : "chip warn" }, row.quality ?? "–"),
      row.out_of_domain && h("span", { class: "chip warn", title: "The scan as a whole lies outside the training cohort" }, "out of domain")),
    h("td", {}, holds(row)),
    h("td", {}, row.reviewed ? "yes" : "–"),
    h("td", { class: "nowrap" }, date(row.date)));
}

function decision(row) {
  if (row.flagged === null || row.flagged === undefined) return h("span", { class: "chip" }, "map only");
  if (row.p_values_hold === false) return h("span", { class: "chip" }, row.flagged ? "flagged, in doubt" : "not flagged, in doubt");
  return row.flagged ? h("span", { class: "chip flagged" }, "flagged") : h("span", { class: "chip clear" }, "not flagged");
}

function holds(row) {
  if (row.p_values_hold === null || row.p_values_hold === undefined) return "none";
  return row.p_values_hold ? "valid" : h("span", { class: "chip warn" }, "not valid here");
}
