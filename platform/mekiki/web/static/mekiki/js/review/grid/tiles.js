// The tiles of a page, as a grid in which the arrow keys move the focus (one tile is in the tab order).

import { say } from "../texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class Tiles {
  /** open(tile): a tile was clicked. settled(tile): its image was decoded or failed. */
  constructor(root, { open, settled }) {
    Object.assign(this, { root, settled });
    this.all = [];
    this.current = null;
    root.addEventListener("click", event => {
      const tile = this.#of(event.target);
      if (!tile) return;
      this.focus(tile);
      open(tile);
    });
    root.addEventListener("focusin", event => this.#select(this.#of(event.target)));
    new ResizeObserver(() => this.#arrange()).observe(root);
  }

  #of(target) {
    return this.all.find(tile => tile.cell.contains(target)) ?? null;
  }

  /** Show these items, all with the same predicted label. */
  show(items) {
    const large = this.root.dataset.tileSize === "large";
    this.all = items.map(item => this.#make(item, large));
    this.columns = 0;
    this.root.hidden = !items.length;
    this.#arrange();
    this.#select(this.all[0] ?? null);
    for (const tile of this.all) this.draw(tile);
  }

  #make(item, large) {
    const cell = element("div", "review-grid__tile");
    cell.setAttribute("role", "gridcell");
    cell.tabIndex = -1;
    cell.dataset.item = String(item.item);
    const image = new Image();
    image.alt = "";
    image.draggable = false;
    image.decoding = "async";
    image.src = large ? item.image.url : item.image.thumb_url;
    const mark = element("span", "review-grid__mark");
    mark.hidden = true;
    cell.append(image, mark);
    const tile = { item, cell, markBox: mark, mark: null, settled: false, failed: false, seen: 0 };
    image
      .decode()
      .catch(() => {
        tile.failed = true;
        tile.mark = { kind: "skip", label: null, text: say("grid_mark_skip") };
        this.draw(tile);
      })
      .then(() => {
        tile.settled = true;
        this.settled(tile);
      });
    return tile;
  }

  /** The rows that screen readers announce follow from the width. They change nothing on the screen. */
  #arrange() {
    if (!this.all.length) {
      this.root.replaceChildren();
      return;
    }
    const columns = getComputedStyle(this.root).gridTemplateColumns.split(" ").length;
    const placed = this.root.querySelectorAll('[role="gridcell"]');
    if (columns === this.columns && placed.length === this.all.length && placed[0] === this.all[0].cell)
      return;
    this.columns = columns;
    const focused = this.all.find(tile => tile.cell === document.activeElement);
    const rows = [];
    for (let start = 0; start < this.all.length; start += columns) {
      const row = element("div", "review-grid__row");
      row.setAttribute("role", "row");
      row.append(...this.all.slice(start, start + columns).map(tile => tile.cell));
      rows.push(row);
    }
    this.root.replaceChildren(...rows);
    focused?.cell.focus({ preventScroll: true });
  }

  #select(tile) {
    if (this.current) this.current.cell.tabIndex = -1;
    this.current = tile;
    if (tile) tile.cell.tabIndex = 0;
  }

  focus(tile = this.current, scroll = false) {
    this.#select(tile);
    tile?.cell.focus({ preventScroll: !scroll });
  }

  number(tile) {
    return this.all.indexOf(tile) + 1;
  }

  /** Move the focus by a key; true if the key moves it. */
  move(key, far) {
    const at = this.all.indexOf(this.current);
    if (at < 0) return false;
    const last = this.all.length - 1;
    const row = at - (at % this.columns);
    const places = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - this.columns,
      ArrowDown: at + this.columns,
      Home: far ? 0 : row,
      End: far ? last : Math.min(last, row + this.columns - 1),
    };
    if (!(key in places)) return false;
    const place = places[key];
    if (place >= 0 && place <= last) this.focus(this.all[place], true);
    return true;
  }

  /** Give a tile a mark ({kind, label, text}), or none. A tile without its image stays skipped. */
  mark(tile, mark) {
    if (!tile.failed) tile.mark = mark;
    this.draw(tile);
  }

  draw(tile) {
    const { item, cell, markBox, mark } = tile;
    cell.classList.toggle("review-grid__tile--marked", Boolean(mark));
    cell.dataset.kind = mark?.kind ?? "confirm";
    markBox.hidden = !mark;
    markBox.textContent = mark?.text ?? "";
    if (tile.failed) markBox.textContent = say("grid_tile_failed");
    cell.setAttribute(
      "aria-label",
      say(mark ? "grid_tile_marked" : "grid_tile", {
        n: this.number(tile),
        total: this.all.length,
        name: item.image.name,
        label: item.prediction.name,
        mark: markBox.textContent,
      }),
    );
  }

  remove(tiles) {
    this.all = this.all.filter(tile => !tiles.includes(tile));
    this.#arrange();
    if (!this.all.includes(this.current)) this.#select(this.all[0] ?? null);
    for (const tile of this.all) this.draw(tile);
    this.root.hidden = !this.all.length;
  }
}
