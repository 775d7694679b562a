// The first page: bring a scan, what is at work, all results, benchmarks.

import { get } from "./api.js";
import { bring } from "./bring.js";
import { cohort } from "./cohort.js";
import { fill, h } from "./dom.js";
import { queue } from "./jobs.js";

export async function show(main) {
  const [models, scans, rows, benchmarks] = await Promise.all(
    ["/api/models", "/api/scans", "/api/results", "/api/benchmarks"].map((path) => get(path)));
  const table = cohort(rows);
  const jobs = queue(async () => table.update(await get("/api/results")));
  const entry = bring({ models, scans, started: jobs.look });
  fill(main, h("div", { class: "page" },
    h("div", { class: "home-top" }, entry.element, jobs.element),
    table.element,
    benchmarks.length > 0 && benchmarkList(benchmarks)));
  await jobs.look();
  return () => { jobs.stop(); entry.stop(); };
}

function benchmarkList(benchmarks) {
  return h("section", { class: "block", "aria-labelledby": "benchmarks-title" },
    h("h2", { id: "benchmarks-title" }, "Benchmarks"),
    h("ul", { class: "plain" }, benchmarks.map(({ id, title }) =>
      h("li", {}, h("a", { href: `#/bench/${id}` }, title || id)))));
}
