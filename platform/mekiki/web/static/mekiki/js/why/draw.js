// The parts of the panel Why: confirmed neighbours, and where the scores come from.

import { say } from "../review/texts.js";

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const signed = number => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
const similarity = number => number.toFixed(3);

/** The neighbours of each label; chosen(neighbour, group) is called at a click. */
export function drawNeighbours(box, panel, chosen) {
  if (panel.neighbours_problem) {
    box.replaceChildren(element("p", "small", panel.neighbours_problem));
    return;
  }
  box.replaceChildren(...panel.neighbours.flatMap(group => groupOf(group, chosen)));
}

function groupOf(group, chosen) {
  const title = element("h4", "why__label", say("why_near", { label: group.name }));
  if (!group.images.length) return [title, element("p", "muted small", say("why_none_near"))];
  const list = element("ul", "why__near");
  for (const neighbour of group.images) {
    const value = similarity(neighbour.similarity);
    const button = element("button", "why__tile");
    button.type = "button";
    button.setAttribute("aria-label", say("why_compare", { name: neighbour.name, label: group.name, value }));
    const image = element("img");
    image.src = neighbour.thumb_url;
    image.alt = "";
    image.loading = "lazy";
    const by = say("why_by", { name: neighbour.confirmed_by, when: neighbour.confirmed_at_text });
    button.append(image, element("span", "why__value", value));
    button.addEventListener("click", () => chosen(neighbour, group));
    const item = element("li");
    item.append(button, element("span", "why__by", by));
    list.append(item);
  }
  return [title, list];
}

/** The table of scores, and the prompts of each label with what they add. */
export function drawScores(box, panel) {
  if (panel.scores_state !== "ready") {
    const text = panel.scores_state === "waiting" ? say("why_prompts_waiting") : panel.scores_problem;
    box.replaceChildren(element("p", "small", text));
    return;
  }
  const kind = { zero_shot: "why_zero_shot", plain: "why_plain" }[panel.head_kind];
  box.replaceChildren(
    ...(kind ? [element("p", "small", say(kind))] : []),
    tableOf(panel.scores),
    ...panel.scores.flatMap(promptsOf),
  );
}

function tableOf(scores) {
  const table = element("table", "table table--compact why__scores");
  table.append(element("caption", "small", say("why_score_caption")));
  const head = element("thead");
  const titles = element("tr");
  for (const key of ["why_score_label", "why_from_prompts", "why_from_training", "why_score"]) {
    const cell = element("th", key === "why_score_label" ? "" : "why__number", say(key));
    cell.scope = "col";
    titles.append(cell);
  }
  head.append(titles);
  const body = element("tbody");
  for (const { name, prompts, trained, score } of scores) body.append(rowOf(name, prompts, trained, score));
  if (scores.length === 2) {
    const [one, two] = scores;
    const row = rowOf(
      say("why_lead", { label: one.name }),
      one.prompts - two.prompts,
      one.trained - two.trained,
      one.score - two.score,
    );
    row.className = "why__lead";
    body.append(row);
  }
  table.append(head, body);
  return table;
}

function rowOf(name, ...numbers) {
  const row = element("tr");
  const title = element("th", "why__name", name);
  title.scope = "row";
  row.append(title, ...numbers.map(number => element("td", "why__number", signed(number))));
  return row;
}

function promptsOf(score) {
  const largest = Math.max(...score.shares.map(share => Math.abs(share.points)), 1e-9);
  const list = element("ul", "why__prompts");
  for (const share of score.shares) {
    const item = element("li");
    const bar = element("span", share.points < 0 ? "why__bar why__bar--against" : "why__bar");
    bar.style.inlineSize = `${(100 * Math.abs(share.points)) / largest}%`;
    bar.setAttribute("aria-hidden", "true");
    const values = { points: signed(share.points), value: similarity(share.similarity) };
    item.append(
      element("span", "", share.text),
      bar,
      element("span", "muted", say("why_prompt_points", values)),
    );
    list.append(item);
  }
  return [element("h4", "why__label", say("why_prompts_of", { label: score.name })), list];
}
