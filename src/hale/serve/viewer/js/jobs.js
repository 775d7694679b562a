// What waits and what runs: progress by stage, remaining time, cancel.

import { get, remove } from "./api.js";
import { fill, h, say } from "./dom.js";
import { count, remaining } from "./words.js";

const ALIVE = ["queued", "running"];
const STATES = { queued: "waiting", running: "at work", done: "done", failed: "failed", cancelled: "cancelled" };

// Return {element, look, stop}. `changed` is called when a job has brought new results.
export function queue(changed) {
  const list = h("ol", { class: "jobs" });
  const element = h("section", { class: "block queue", "aria-labelledby": "queue-title", hidden: true },
    h("h2", { id: "queue-title" }, "At work"), list);
  const rows = new Map();
  let known = null;
  let timer;
  let stopped = false;

  async function look() {
    clearTimeout(timer);
    let jobs;
    try {
      jobs = await get("/api/jobs");
    } catch (problem) {
      say(problem.message);
      jobs = [];
    }
    if (stopped) return;
    show(jobs);
    const results = jobs.flatMap((job) => job.results ?? []).join();
    if (known !== null && results !== known) changed();
    known = results;
    timer = setTimeout(look, jobs.some((job) => ALIVE.includes(job.state)) ? 700 : 5000);
  }

  function show(jobs) {
    const recent = jobs.slice(0, 12);
    element.hidden = !recent.length;
    chip(jobs.filter((job) => ALIVE.includes(job.state)));
    for (const job of recent) {
      if (!rows.has(job.id)) rows.set(job.id, row(job, look));
      rows.get(job.id).update(job);
    }
    const order = recent.map((job) => rows.get(job.id).element);
    if (order.some((item, index) => list.children[index] !== item) || list.children.length !== order.length) fill(list, order);
  }

  return { element, look, stop: () => { stopped = true; clearTimeout(timer); chip([]); } };
}

function chip(alive) {
  const place = document.getElementById("working");
  place.hidden = !alive.length;
  place.textContent = alive.length ? `${count(alive.length, "job")} at work` : "";
}

function row(job, look) {
  const words = h("p", { class: "job-words small quiet", role: "status" });
  const bar = h("progress", { "aria-label": `Progress of ${job.name}` });
  const cancel = h("button", { type: "button", class: "small-button", onclick: stop, "aria-label": `Cancel ${job.name}` }, "Cancel");
  const dismiss = h("button", { type: "button", class: "small-button quiet-button", onclick: stop, "aria-label": `Dismiss ${job.name}`,
    title: "Off this list, with what was uploaded for it; its results stay" }, "Dismiss");
  const links = h("span", { class: "line" });
  const state = h("span", { class: "chip" });
  const element = h("li", { class: "job", "data-job": job.id },
    h("div", { class: "line job-line" }, h("b", {}, job.name), state, links, cancel, dismiss), bar, words);

  async function stop() {
    cancel.disabled = dismiss.disabled = true;
    try {
      await remove(`/api/jobs/${job.id}`);
    } catch (problem) {
      say(problem.message);
    }
    await look();
    cancel.disabled = dismiss.disabled = false;
  }

  function update(now) {
    const alive = ALIVE.includes(now.state);
    element.dataset.state = now.state;
    state.textContent = STATES[now.state] ?? now.state;
    state.className = `chip ${now.state === "failed" ? "flagged" : ""}`;
    bar.hidden = !alive;
    cancel.hidden = !alive;
    dismiss.hidden = alive;
    if (now.total) {
      bar.max = now.total;
      bar.value = now.done ?? 0;
    } else if (now.state === "queued") bar.value = 0;
    else bar.removeAttribute("value");
    fill(words, now.reason || (alive && [now.waits_for && `${count(now.waits_for, "job")} before it`, now.model, now.stage, remaining(now.seconds_left)].filter(Boolean).join(" · ")) || "");
    words.hidden = !words.textContent;
    const ids = (now.results ?? []).join();
    if (links.dataset.ids !== ids) {
      links.dataset.ids = ids;
      fill(links, (now.results ?? []).map((id, index) =>
        h("a", { href: `#/result/${id}`, class: "button small-button" }, now.results.length > 1 ? `Open ${index + 1}` : "Open")));
    }
  }
  return { element, update };
}
