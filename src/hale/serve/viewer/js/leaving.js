// What would be lost by leaving a page: asked before another is shown, or the window closed.

const QUESTION = "Your correction is not kept yet. Leave, and lose it?";

let isOpen = () => false;

// Give the page's check for work that is not kept; null takes it away.
export function guard(check) {
  isOpen = check ?? (() => false);
}

// Return whether the page may be left: nothing is lost, or the reader says so.
export const mayLeave = () => !isOpen() || confirm(QUESTION);

export function startGuard() {
  addEventListener("beforeunload", (event) => isOpen() && event.preventDefault());
}
