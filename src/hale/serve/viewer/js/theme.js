// Light or dark: as the system, until the reader chooses.

const CHOICES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  const kept = localStorage.getItem("hale-theme");
  return CHOICES.includes(kept) ? kept : "system";
}

function apply() {
  const choice = chosen();
  const dark = choice === "dark" || (choice === "system" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  button.textContent = { system: "Colours: system", light: "Colours: light", dark: "Colours: dark" }[choice];
  button.setAttribute("aria-label", `${button.textContent}; press for the next choice`);
}

export function startTheme() {
  system.addEventListener("change", apply);
  document.getElementById("theme").addEventListener("click", () => {
    localStorage.setItem("hale-theme", CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length]);
    apply();
  });
  apply();
}
