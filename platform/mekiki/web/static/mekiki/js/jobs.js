// Jobs as they run. [data-job] shows one, [data-jobs-of] in the bar shows the first that runs in a dataset.
// When a job ends, the document gets "mekiki:job-ended" (detail: the job), and [data-job-reload] loads the page again
// as soon as nobody is using it.

import { get } from "./http.js";
import { reloadAtRest } from "./reload.js";

const FAST = 1000;
const SLOW = 15000;

function showPercent(progress, job) {
  if (!progress) return;
  if (job.percent === null) progress.removeAttribute("value");
  else progress.value = job.percent;
}

/** Poll until the callback answers false: quicker while things move, slower while they stand, never while hidden. */
function poll(url, render, wait = FAST) {
  let timer = 0;
  let pause = wait;
  let last = "";
  async function tick() {
    if (document.hidden) return;
    let go = true;
    try {
      const body = await get(url);
      const text = JSON.stringify(body);
      pause = text === last ? Math.min(pause * 1.5, SLOW) : FAST;
      last = text;
      go = render(body) !== false;
    } catch {
      pause = Math.min(pause * 2, SLOW);
    }
    if (go) timer = setTimeout(tick, pause);
    else document.removeEventListener("visibilitychange", wake);
  }
  function wake() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(tick, 100);
  }
  document.addEventListener("visibilitychange", wake);
  timer = setTimeout(tick, pause);
}

function ended(job) {
  document.dispatchEvent(new CustomEvent("mekiki:job-ended", { detail: job }));
}

function follow(element) {
  const find = name => element.querySelector(`[data-job-${name}]`);
  const progress = element.querySelector("progress");
  let state = "";
  poll(element.dataset.jobUrl, job => {
    showPercent(progress, job);
    if (progress) progress.hidden = !job.active;
    if (find("state")) find("state").textContent = job.state_label;
    if (find("detail")) find("detail").textContent = job.detail;
    if (find("error")) {
      find("error").textContent = job.error;
      find("error").hidden = !job.error;
    }
    for (const act of ["cancel", "pause", "resume"]) if (find(act)) find(act).hidden = !job[`can_${act}`];
    if (find("said") && job.state !== state)
      find("said").textContent = `${job.kind_label}: ${job.state_label}`;
    state = job.state;
    if (job.active) return true;
    ended(job);
    if ("jobReload" in element.dataset) reloadAtRest();
    return false;
  });
}

function indicate(element) {
  const label = element.querySelector("[data-jobs-label]");
  const percent = element.querySelector("[data-jobs-percent]");
  const progress = element.querySelector("progress");
  let known = new Map();
  poll(
    element.dataset.jobsUrl,
    jobs => {
      const active = jobs.filter(job => job.active);
      for (const job of jobs) if (!job.active && known.get(job.id)) ended(job);
      known = new Map(jobs.map(job => [job.id, job.active]));
      element.hidden = active.length === 0;
      const shown = active.find(job => job.state === "running") ?? active[0];
      if (!shown) return true;
      label.textContent = shown.kind_label;
      percent.textContent = shown.percent === null ? "" : `${shown.percent}%`;
      showPercent(progress, shown);
      return true;
    },
    element.hidden ? 5000 : FAST,
  );
}

// A page that already shows how its job ended needs no asking.
for (const element of document.querySelectorAll("[data-job]")) {
  const progress = element.querySelector("progress");
  if (!progress?.hidden) follow(element);
}
for (const element of document.querySelectorAll("[data-jobs-of]")) indicate(element);

// Fragments that htmx brings in.
document.addEventListener("htmx:load", event => {
  const root = event.target;
  if (root === document.body) return;
  for (const element of [root, ...root.querySelectorAll("[data-job]")]) {
    if (element.matches("[data-job]") && !element.querySelector("progress")?.hidden) follow(element);
  }
});
