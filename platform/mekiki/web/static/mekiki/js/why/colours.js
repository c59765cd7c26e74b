// The colours of a heat map: orange supports the label, blue is against it. Orange and blue differ for all common kinds
// of colour blindness (Brewer's PuOr and RdBu scales), and the strength is in the opacity, not in the hue.

const FOR = [230, 97, 1];
const AGAINST = [33, 102, 172];

/** [red, green, blue, alpha] from 0 to 255 for a value from -1 to 1. */
export function colourOf(value) {
  const strength = Math.min(1, Math.abs(value));
  return [...(value >= 0 ? FOR : AGAINST), Math.round(255 * strength)];
}

/** A canvas with one pixel for each value (a list of rows), scaled to the largest of them. */
export function paint(values) {
  const canvas = document.createElement("canvas");
  canvas.width = values[0].length;
  canvas.height = values.length;
  const largest = Math.max(...values.flat().map(Math.abs)) || 1;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  for (const [n, value] of values.flat().entries()) pixels.data.set(colourOf(value / largest), 4 * n);
  context.putImageData(pixels, 0, 0);
  return canvas;
}
