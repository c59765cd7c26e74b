// The keyboard focus after a dialog is closed.

/**
 * Move the focus to an element, unless a person already types in a field. A browser reports the end of a dialog late,
 * so a fast person can have pressed the next key before the report.
 */
export function returnFocus(element) {
  if (document.activeElement?.matches("input:not([type=checkbox], [type=radio]), select, textarea")) return;
  element.focus({ preventScroll: true });
}
