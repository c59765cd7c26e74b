// The preferences of the person who is logged in. The server keeps them, so that they follow the login to every screen.

import { post } from "../http.js";

export class Preferences {
  /** root: an element with data-preferences (JSON) and data-preferences-url. failed(error): a change was not saved. */
  constructor(root, failed = () => {}) {
    this.values = JSON.parse(root.dataset.preferences);
    this.url = root.dataset.preferencesUrl;
    this.failed = failed;
  }

  get(name) {
    return this.values[name];
  }

  /** Change some values, here at once and on the server. Resolves to false if the server could not store them. */
  async save(changes) {
    Object.assign(this.values, changes);
    try {
      Object.assign(this.values, await post(this.url, changes));
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  /** Bind a checkbox to a preference; changed(on) is called now and at each change. */
  bind(box, name, changed = () => {}) {
    box.checked = this.get(name);
    box.addEventListener("change", () => {
      this.save({ [name]: box.checked });
      changed(box.checked);
    });
    changed(box.checked);
  }
}
