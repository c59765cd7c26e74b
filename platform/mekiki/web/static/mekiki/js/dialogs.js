// The end of a dialog. A browser reports it (the event `close`) late: a fast person can have pressed the next key
// before the report, for an image whose flag is not recorded yet, or in the next dialog.

/** Call `act` as soon as a dialog was closed, before the next key. `act` may read `returnValue`. */
export function whenClosed(dialog, act) {
  const watch = changes => {
    const wasOpen = changes.some(change => change.oldValue !== null);
    if (wasOpen && !dialog.open) act();
  };
  new MutationObserver(watch).observe(dialog, { attributeFilter: ["open"], attributeOldValue: true });
}
