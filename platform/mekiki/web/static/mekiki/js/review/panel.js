// What is said of the current image: the prediction, or that it is asked about blind; its capture metadata.

import { say } from "./texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const percentOf = confidence => Math.min(99, Math.floor(confidence * 100));

/** One sentence for a screen reader. */
export function spoken(item) {
  if (item.blind) return say("blind");
  const { prediction } = item;
  if (!prediction) return say("none_predicted");
  return say(prediction.calibrated ? "prediction" : "prediction_uncalibrated", {
    label: prediction.name,
    percent: percentOf(prediction.confidence),
  });
}

export function showPrediction(box, item, labels) {
  const { prediction } = item;
  if (item.blind || !prediction) {
    box.replaceChildren(element("p", "station__blind", say(item.blind ? "blind" : "none_predicted")));
    return;
  }
  const name = element("p", "station__predicted", prediction.name);
  const line = element("p", "station__confidence");
  line.append(element("strong", "", `${percentOf(prediction.confidence)} %`));
  if (!prediction.calibrated) line.append(element("span", "badge badge--warn", say("uncalibrated")));
  line.title = say(prediction.calibrated ? "calibrated_why" : "uncalibrated_why");
  const meter = element("meter", "station__meter");
  meter.max = 1;
  meter.value = prediction.confidence;
  meter.setAttribute("aria-hidden", "true");
  const parts = [name, line, meter];
  const second = labels.byId(prediction.runner_up);
  if (second) parts.push(element("p", "station__second muted", say("runner_up", { label: second.name })));
  box.replaceChildren(...parts);
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
