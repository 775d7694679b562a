// What would be lost by leaving a page: asked before another is shown, or the window closed.

let unkept = () => [];

// Give the page's list of what is not kept, a noun each; null takes it away.
export function guard(list) {
  unkept = list ?? (() => []);
}

// Return whether the page may be left: nothing is lost, or the reader says so.
export const mayLeave = () => !unkept().length || confirm(question(unkept()));

function question(lost) {
  const [is, it] = lost.length > 1 ? ["are", "them"] : ["is", "it"];
  return `Your ${lost.join(" and your ")} ${is} not kept yet. Leave, and lose ${it}?`;
}

export function startGuard() {
  addEventListener("beforeunload", (event) => unkept().length && event.preventDefault());
}
