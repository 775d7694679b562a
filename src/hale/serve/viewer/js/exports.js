// What can be taken away: mask, lesion table, report; in the reviewed state.

import { put } from "./api.js";
import { fill, h, say } from "./dom.js";
import { reader, whoIs } from "./who.js";
import { date } from "./words.js";

// Return {element, kept, changed}: `kept` says that a correction was kept, `changed` whether the comment is not.
export function exportsOf(id, { calibrated, dicom, files, review }) {
  const file = (name, text) => h("a", { class: "button", href: `/api/results/${id}/export/${name}`, download: name }, text);
  const mask = file("mask.nii.gz", "Mask, NIfTI");
  const seg = dicom && file("mask.seg.dcm", "Mask, DICOM SEG");
  const table = file("lesions.tsv", "Lesions, TSV");
  mask.hidden = table.hidden = !calibrated && !files.reviewed;
  let told = review?.comment ?? "";
  const comment = h("textarea", { id: "comment", rows: 2, oninput: mark }, told);
  const keepButton = h("button", { type: "button", onclick: keep, disabled: true }, "Keep the comment");
  const state = h("p", { class: "small quiet", role: "status" });
  const past = h("div", {}, history(review));
  const who = h("button", { type: "button", class: "small-button quiet-button", onclick: rename }, name());
  const element = h("div", { class: "exports" },
    h("label", { class: "field", for: "comment" }, h("span", {}, "Comment"), comment),
    h("div", { class: "line" }, keepButton, who), state,
    h("div", { class: "line" }, mask, seg, table,
      h("a", { class: "button", href: `/api/results/${id}/export/report.html`, target: "_blank", rel: "noopener",
        onclick: () => say("The report is being drawn; it opens in a new tab.", 8) }, "Report, to read or print")),
    h("p", { class: "small quiet" }, "With your verdicts and your corrected mask. The results themselves stay as they were."),
    past);

  function mark() {
    const changed = comment.value !== told;
    keepButton.disabled = !changed;
    state.textContent = changed ? "The comment is not kept yet." : "";
  }

  async function rename() {
    await whoIs(true);
    who.textContent = name();
  }

  async function keep() {
    const by = await whoIs();
    if (!by) return;
    const sent = comment.value;
    try {
      fill(past, history(await put(`/api/results/${id}/review`, { who: by, lesions: {}, comment: sent })));
      told = sent;
      mark();
      say("The comment is kept.", 2);
      who.textContent = name();
    } catch (problem) {
      say(problem.message);
    }
  }

  function kept(now) {
    mask.hidden = table.hidden = false;
    fill(past, history(now));
    who.textContent = name();
    say("The correction is kept beside the result.", 3);
  }

  return { element, kept, get changed() { return comment.value !== told; } };
}

const name = () => (reader() ? `Reader: ${reader()}` : "Reader: not said");

function history(review) {
  const steps = review?.history ?? [];
  if (!steps.length) return null;
  const words = (step) => [step.mask && "corrected the mask", step.comment !== undefined && "commented",
    step.lesions && Object.entries(step.lesions).map(([label, verdict]) => `lesion ${label}: ${verdict ? `${verdict}ed` : "no verdict"}`).join(", ")].filter(Boolean).join("; ");
  return h("details", {}, h("summary", { class: "small" }, `History, ${steps.length}`), h("ol", { class: "small history" },
    steps.slice(-30).reverse().map((step) => h("li", {}, `${date(step.when)} ${step.who}: ${words(step)}`))));
}
