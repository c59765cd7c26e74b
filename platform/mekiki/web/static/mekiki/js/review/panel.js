// What is said of the current image: the prediction, or that it is asked about blind; its capture metadata.

import { say } from "./texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Rounded down: 99.9 % is not certain. The small number takes away the error of the multiplication.
const percentOf = confidence => Math.min(99, Math.floor(confidence * 100 + 1e-6));

/** The runner-up of a prediction with its confidence; null when the item has none. */
function runnerUp(prediction, labels) {
  const label = labels.byId(prediction.runner_up);
  if (!label || prediction.runner_up_confidence === null) return null;
  return { label: label.name, percent: percentOf(prediction.runner_up_confidence) };
}

/** The prediction in sentences for a screen reader. */
export function spoken(item, labels) {
  if (item.blind) return say("blind");
  const { prediction } = item;
  if (!prediction) return say("none_predicted");
  const first = say(prediction.calibrated ? "prediction" : "prediction_uncalibrated", {
    label: prediction.name,
    percent: percentOf(prediction.confidence),
  });
  const second = runnerUp(prediction, labels);
  return second ? `${first}. ${say("runner_up_spoken", second)}` : first;
}

function named(className, text) {
  const made = element("span", `truncate ${className}`.trim(), text);
  made.title = text;
  return made;
}

/** One line: the label with its confidence, the runner-up with its own. */
export function showPrediction(box, item, labels) {
  const { prediction } = item;
  if (item.blind || !prediction) {
    box.replaceChildren(element("p", "station__blind", say(item.blind ? "blind" : "none_predicted")));
    return;
  }
  const line = element("p", "station__line");
  const percent = element("strong", "station__percent", `${percentOf(prediction.confidence)} %`);
  percent.title = say(prediction.calibrated ? "calibrated_why" : "uncalibrated_why");
  line.append(named("station__predicted", prediction.name), percent);
  if (!prediction.calibrated) line.append(element("span", "badge badge--warn", say("uncalibrated")));
  const second = runnerUp(prediction, labels);
  if (second) {
    const group = element("span", "station__second");
    const name = say("runner_up", { label: second.label });
    group.append(named("", name), element("span", "station__second-percent", `${second.percent} %`));
    line.append(group);
  }
  box.replaceChildren(line);
}

export function showMetadata(list, item) {
  const rows = [["", item.image.name], ...Object.entries(item.image.metadata)];
  list.replaceChildren(
    ...rows.flatMap(([key, value]) => {
      const words = element("dd", key ? "" : "station__name", String(value));
      if (!key) words.id = "station-image-name";
      return key ? [element("dt", "", key), words] : [words];
    }),
  );
}
