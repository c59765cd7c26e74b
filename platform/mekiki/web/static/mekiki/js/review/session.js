// The goal of this session and the reminder of a break, in a quiet line that never takes the keyboard.

import { whenClosed } from "../dialogs.js";
import { say } from "./texts.js";

const CHECK = 20 * 1000;
const SNOOZE = 10; // minutes
const SHOWN = 15 * 1000; // how long the sentence about a goal stays

export class Session {
  /**
   * part(name), dialog: elements. preferences, pace, status: parts of the station. reached: answers since the goal was
   * set. closed(): the dialog is gone.
   */
  constructor(part, dialog, { preferences, pace, status, reached, closed }) {
    Object.assign(this, { part, dialog, preferences, pace, status, reached });
    this.remindAfter = 0; // minutes of work
    this.goalField = dialog.querySelector("[data-goal]");
    this.breakField = dialog.querySelector("[data-break]");
    part("quiet-later").addEventListener("click", () => this.#later());
    part("quiet-close").addEventListener("click", () => this.#hide());
    dialog.querySelector("form").addEventListener("submit", event => this.#submit(event));
    dialog.querySelector("[data-session-cancel]").addEventListener("click", () => dialog.close());
    whenClosed(dialog, closed);
    setInterval(() => this.#remind(), CHECK);
    this.draw();
  }

  open() {
    this.goalField.value = this.preferences.get("goal") ?? "";
    this.breakField.value = this.preferences.get("break_minutes") ?? "";
    this.dialog.showModal();
  }

  /** Answers were given (1) or taken back (-1). */
  count(change) {
    const goal = this.preferences.get("goal");
    const before = this.reached;
    this.reached = Math.max(0, before + change);
    this.draw();
    if (goal && before < goal && this.reached >= goal) this.#say(say("goal_reached", { n: goal }), false);
  }

  draw() {
    const goal = this.preferences.get("goal");
    this.part("goal-box").hidden = !goal;
    if (!goal) return;
    this.part("goal-text").textContent = `${this.reached} / ${goal}`;
    const bar = this.part("goal-progress");
    bar.max = goal;
    bar.value = Math.min(goal, this.reached);
  }

  #submit(event) {
    event.preventDefault();
    const number = field => (field.value === "" ? null : Number(field.value));
    const changes = { break_minutes: number(this.breakField) };
    if (number(this.goalField) !== this.preferences.get("goal")) {
      changes.goal = number(this.goalField);
      this.reached = 0;
    }
    this.remindAfter = 0;
    this.dialog.close();
    this.preferences.save(changes);
    this.draw();
  }

  #remind() {
    const minutes = this.preferences.get("break_minutes");
    if (this.pace.minutes < 1) this.remindAfter = 0;
    if (!minutes || document.hidden || this.pace.minutes < Math.max(minutes, this.remindAfter)) return;
    if (!this.part("quiet").hidden) return;
    this.remindAfter = this.pace.minutes + minutes;
    this.#say(say("break_due", { n: Math.round(this.pace.minutes) }), true);
  }

  #later() {
    this.remindAfter = this.pace.minutes + SNOOZE;
    this.#hide();
  }

  #say(text, isBreak) {
    clearTimeout(this.timer);
    this.part("quiet-text").textContent = text;
    this.part("quiet-later").hidden = !isBreak;
    this.part("quiet").hidden = false;
    this.status.announce(text);
    if (!isBreak) this.timer = setTimeout(() => this.#hide(), SHOWN);
  }

  /** The focus returns to the image if it was in the line. */
  #hide() {
    const inside = this.part("quiet").contains(document.activeElement);
    this.part("quiet").hidden = true;
    if (inside) this.part("stage").focus({ preventScroll: true });
  }
}
