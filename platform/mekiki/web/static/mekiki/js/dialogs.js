// The end of a dialog. A browser reports it (the event `close`) late: a fast person can have pressed the next key before
// the report, for an image whose flag is not recorded yet, or in the next dialog.

/** Call `act` as soon as a dialog was closed, before the next key. `act` may read `returnValue`. */
export function whenClosed(dialog, act) {
  let open = dialog.open;
  const watch = () => {
    const closed = open && !dialog.open;
    open = dialog.open;
    if (closed) act();
  };
  new MutationObserver(watch).observe(dialog, { attributes: true, attributeFilter: ["open"] });
}
