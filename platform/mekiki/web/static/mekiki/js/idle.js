// For how long nobody has used this page.

let used = performance.now();
for (const name of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  document.addEventListener(name, () => (used = performance.now()), { passive: true, capture: true });
}

export const idleMilliseconds = () => performance.now() - used;
