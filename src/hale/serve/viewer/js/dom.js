// Elements in one call; words for those who listen; nothing else.

// Return an element: attributes by name, `on...` are listeners, `class` and `data-...` as in HTML.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in IDL) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const IDL = { value: 0, checked: 0, disabled: 0, hidden: 0, indeterminate: 0, htmlFor: 0 };

// Put `children` in the place of what `element` holds.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let silence;

// Say something in passing; screen readers read it too.
export function say(text, seconds = 5) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => place.replaceChildren(), seconds * 1000);
}

// Return a row of buttons of which one is chosen: [value, label, title].
export function segments(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text, title]) =>
    h("button", { type: "button", role: "radio", "data-value": value, title, onclick: () => pick(value) }, text));
  const group = h("div", { class: "segments", role: "radiogroup", "aria-label": label }, buttons);
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const enabled = buttons.filter((button) => !button.disabled);
    const next = enabled[(enabled.indexOf(document.activeElement) + step + enabled.length) % enabled.length];
    next.focus();
    pick(next.dataset.value);
  });
  function show(value) {
    for (const button of buttons) {
      const is = button.dataset.value === String(value);
      button.setAttribute("aria-checked", is);
      button.tabIndex = is ? 0 : -1;
    }
  }
  function pick(value) {
    show(value);
    choose(value);
  }
  show(chosen);
  return Object.assign(group, { show, pick });
}

// Return a function that runs `work` at most once a frame, with the latest arguments.
export function eachFrame(work) {
  let latest = null;
  return (...given) => {
    if (!latest) requestAnimationFrame(() => { const now = latest; latest = null; work(...now); });
    latest = given;
  };
}

// Return a function that runs `work` when nobody has called it for `ms`.
export function atRest(work, ms) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), ms);
  };
}
