// The appearance changes at once; the form behind it stores the choice in a cookie (and works without this).

import { post } from "./http.js";

for (const form of document.querySelectorAll("[data-theme-form]")) {
  form.addEventListener("submit", async event => {
    const chosen = event.submitter;
    if (!chosen) return;
    event.preventDefault();
    if (chosen.value) document.documentElement.dataset.theme = chosen.value;
    else delete document.documentElement.dataset.theme;
    document.querySelector('meta[name="color-scheme"]').content = chosen.value || "light dark";
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
    await post(form.action, new FormData(form, chosen)).catch(() => {});
  });
}
