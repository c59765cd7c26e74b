// [data-schedule]: shows only the fields the chosen kind of schedule needs. Without scripts all are shown.

const NEEDED = { daily: ["at"], weekly: ["at", "weekday"], hours: ["hours"], advanced: ["cron"], off: [] };
const holder = document.querySelector("[data-schedule]");
const mode = holder.querySelector('[name="mode"]');

function show() {
  for (const name of ["at", "weekday", "hours", "cron"]) {
    const input = holder.querySelector(`[name="${name}"]`);
    input.closest(".field").hidden = !NEEDED[mode.value].includes(name);
  }
}

mode.addEventListener("change", show);
show();
