"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const said = document.getElementById("said");
const tip = document.getElementById("tip");

// Sorting: within each group of a table, so that supervised rows never rank among the others.
const valueOf = (row, key) => {
  const told = row.querySelector(`[data-key="${key}"]`).dataset.sort;
  return key === "method" ? told : parseFloat(told);
};
const compare = (a, b, way) => {
  if (typeof a === "string") return way * a.localeCompare(b);
  if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b); // what is undefined comes last either way
  return way * (a - b);
};
const sortBy = (head) => {
  const { key, first } = head.dataset;
  const other = { ascending: "descending", descending: "ascending" };
  const order = head.ariaSort === "none" ? first : other[head.ariaSort];
  const table = head.closest("table");
  all("[aria-sort]", table).forEach((each) => { each.ariaSort = each === head ? order : "none"; });
  const way = order === "ascending" ? 1 : -1;
  all("tbody[data-rows]", table).forEach((body) => {
    const rows = all("tr.result", body);
    rows.sort((a, b) => compare(valueOf(a, key), valueOf(b, key), way));
    body.append(...rows);
  });
  said.value = `Sorted by ${head.innerText.trim()}, ${order}.`;
};
all("[aria-sort] button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});

// Filters: a row takes its curves, its cards and its lines in other tables with it.
const bar = document.querySelector(".bar");
const results = all("tr.result");
const filter = () => {
  const wanted = all("[data-filter]").filter((select) => select.value !== "");
  const agrees = (element) => wanted.every((one) => element.dataset[one.dataset.filter] === one.value);
  const kept = new Set(results.filter(agrees).map((row) => row.dataset.row));
  all("[data-row]").forEach((one) => one.toggleAttribute("hidden", !kept.has(one.dataset.row)));
  all("tbody.missing").forEach((body) => { body.hidden = !agrees(body); });
  all("tbody[data-rows]").forEach((body) => { body.hidden = !body.querySelector("tr.result:not([hidden])"); });
  all("section.cohort").forEach((section) => {
    const bodies = all("tbody[data-rows], tbody.missing", section);
    section.hidden = wanted.length > 0 && bodies.every((body) => body.hidden);
  });
  said.value = `${kept.size} of ${results.length} rows`;
};
bar.addEventListener("submit", (event) => event.preventDefault());
bar.addEventListener("change", filter);
bar.addEventListener("reset", () => setTimeout(() => { filter(); measure(); }));

// Strips: another figure of the same scans.
const chosen = document.getElementById("measure");
const at = (element, name, place) => parseFloat(element.dataset[name].split(",")[place]);
const measure = () => {
  const place = chosen.selectedIndex;
  all(".shown").forEach((one) => { one.textContent = `Every scan: ${chosen.selectedOptions[0].text}`; });
  all(".strip .dot").forEach((dot) => {
    const value = at(dot, "values", place);
    dot.toggleAttribute("hidden", isNaN(value));
    if (!isNaN(value)) dot.setAttribute("cx", 8 + 194 * Math.min(Math.max(value, 0), 1));
  });
  all(".strip .mean, .strip .base-mean").forEach((line) => {
    const x = at(line, "at", place);
    line.toggleAttribute("hidden", isNaN(x));
    if (!isNaN(x)) line.setAttribute("transform", `translate(${x})`);
  });
  all(".strip .interval").forEach((box) => {
    const [low, high] = [at(box, "low", place), at(box, "high", place)];
    box.setAttribute("x", isNaN(low) ? 0 : low);
    box.setAttribute("width", isNaN(high - low) ? 0 : high - low);
  });
};
chosen.addEventListener("change", measure);

// Pointing: the same scan in every row of the cohort; one curve among many.
const show = (event, text) => {
  tip.textContent = text;
  tip.hidden = false;
  const [x, y] = [event.clientX + 14, event.clientY + 16];
  tip.style.left = `${Math.min(x, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(y, innerHeight - tip.offsetHeight - 8)}px`;
};
const release = () => {
  tip.hidden = true;
  all(".dot.held").forEach((dot) => dot.classList.remove("held"));
};
const light = (section, row) => {
  all(".chart .curve", section).forEach((curve) => {
    curve.classList.toggle("held", curve.dataset.row === row);
    curve.classList.toggle("dimmed", row !== undefined && curve.dataset.row !== row);
  });
};
const pressed = (section) => section.querySelector('[aria-pressed="true"]')?.dataset.hold;
document.addEventListener("pointerover", (event) => {
  release();
  const section = event.target.closest("section.cohort");
  if (!section) return;
  const curve = event.target.closest(".chart .curve");
  const row = event.target.closest("tr.result, .legend [data-row]") ?? curve;
  light(section, pressed(section) ?? row?.dataset.row);
  if (curve) show(event, curve.dataset.name);
  const dot = event.target.closest(".dot");
  if (!dot) return;
  all(".dot", section).filter((one) => one.dataset.case === dot.dataset.case)
    .forEach((one) => one.classList.add("held"));
  const value = at(dot, "values", chosen.selectedIndex);
  const lesion = dot.dataset.ml ? `, lesion ${dot.dataset.ml} ml` : "";
  show(event, `${dot.dataset.id}${lesion}: ${chosen.selectedOptions[0].text} ${value.toFixed(3)}`);
});
all("[data-hold]").forEach((button) => {
  const section = button.closest("section");
  button.addEventListener("click", () => {
    const on = button.ariaPressed !== "true";
    all("[data-hold]", section).forEach((one) => { one.ariaPressed = String(one === button && on); });
    light(section, on ? button.dataset.hold : undefined);
  });
  button.addEventListener("focus", () => light(section, pressed(section) ?? button.dataset.hold));
  button.addEventListener("blur", () => light(section, pressed(section)));
});

// A link to a result card opens it.
const open = () => {
  const card = location.hash.startsWith("#card-") && document.getElementById(location.hash.slice(1));
  if (!card) return;
  card.open = true;
  card.scrollIntoView();
};
addEventListener("hashchange", open);
all('a[href^="#card-"]').forEach((link) => link.addEventListener("click", () => setTimeout(open)));
open();
filter();
