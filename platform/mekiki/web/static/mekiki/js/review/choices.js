// Choices of one person on this device: yes or no, kept in localStorage.

export class Choices {
  constructor(prefix) {
    this.prefix = prefix;
    this.kept = new Map();
  }

  has(name) {
    try {
      return localStorage.getItem(this.prefix + name) === "1";
    } catch {
      return this.kept.get(name) ?? false; // Without storage a choice lasts as long as the page.
    }
  }

  set(name, on) {
    this.kept.set(name, on);
    try {
      if (on) localStorage.setItem(this.prefix + name, "1");
      else localStorage.removeItem(this.prefix + name);
    } catch {
      // As above.
    }
  }

  /** Bind a checkbox to a choice; changed(on) is called now and at each change. */
  bind(box, name, changed) {
    box.checked = this.has(name);
    box.addEventListener("change", () => {
      this.set(name, box.checked);
      changed(box.checked);
    });
    changed(box.checked);
  }
}
