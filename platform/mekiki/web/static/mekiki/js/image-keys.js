// The page of an image: the left and right arrow keys open the previous and next image of the filter, and Escape opens
// the gallery. Fields, menus and dialogs keep their keys.

const KEYS = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]', Escape: "[data-image-back]" };

document.addEventListener("keydown", event => {
  if (
    event.isComposing ||
    event.defaultPrevented ||
    event.altKey ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey
  )
    return;
  if (
    event.target.closest("input, select, textarea, dialog, summary, [data-why]") ||
    document.querySelector("dialog[open]")
  )
    return;
  const link = KEYS[event.key] && document.querySelector(KEYS[event.key]);
  if (!link) return;
  event.preventDefault();
  link.click();
});
