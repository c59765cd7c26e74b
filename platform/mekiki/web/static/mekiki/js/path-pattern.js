// [data-path-builder]: builds the pattern of a path by clicks on the parts of an example. The field with the pattern,
// [data-path-pattern], is in the same form; it can also be written by hand.

const SEPARATORS = /([/_\-. ])/;

/** The parts of a path without its extension: texts and separators in turn. */
function split(path) {
  const stem = path
    .trim()
    .replace(/^\/+/, "")
    .replace(/(?<=[^/])\.[^./]*$/, "");
  return stem.split(SEPARATORS).filter(piece => piece !== "");
}

/** The pattern: chosen parts by their names, other parts as {*}, from the first folder with a chosen part. */
function patternOf(pieces, names) {
  const written = pieces.map((piece, at) => {
    if (SEPARATORS.test(piece)) return piece;
    return names.has(at) ? `{${names.get(at)}}` : "{*}";
  });
  const folders = written.join("").split("/");
  const first = folders.findIndex(folder => /\{[^*{}]/.test(folder));
  return first < 0 ? "" : folders.slice(first).join("/");
}

function bind(builder) {
  const find = name => builder.querySelector(`[data-path-${name}]`);
  const field = builder.closest("form").querySelector("[data-path-pattern]");
  const example = find("example");
  const names = new Map(); // number of the part → its name
  let pieces = [];

  function write() {
    const chosen = new Map([...names].filter(([, name]) => name));
    const values = [...chosen].map(([at, name]) => `${name} = ${pieces[at]}`);
    field.value = patternOf(pieces, chosen);
    const words = chosen.size ? builder.dataset.textResult.replace("{values}", values.join(", ")) : "";
    find("result").textContent = words;
  }

  function nameInput(at) {
    const label = document.createElement("label");
    label.className = "field";
    label.dataset.part = at;
    const words = document.createElement("span");
    words.textContent = builder.dataset.textName.replace("{part}", pieces[at]);
    const input = document.createElement("input");
    input.maxLength = 50;
    input.addEventListener("input", () => {
      names.set(at, input.value.replace(/[{}/*]/g, "").trim());
      write();
    });
    label.append(words, input);
    return label;
  }

  function toggle(button, at) {
    const isChosen = !names.has(at);
    button.setAttribute("aria-pressed", String(isChosen));
    if (isChosen) {
      names.set(at, "");
      const label = nameInput(at);
      find("names").append(label);
      label.querySelector("input").focus();
    } else {
      names.delete(at);
      find("names").querySelector(`[data-part="${at}"]`)?.remove();
    }
    write();
  }

  function show() {
    names.clear();
    find("names").replaceChildren();
    find("result").textContent = "";
    pieces = split(example.value);
    find("parts").replaceChildren(
      ...pieces.map((piece, at) => {
        if (SEPARATORS.test(piece)) return document.createTextNode(piece);
        const button = document.createElement("button");
        button.type = "button";
        button.className = "button button--small";
        button.textContent = piece;
        button.setAttribute("aria-pressed", "false");
        button.addEventListener("click", () => toggle(button, at));
        return button;
      }),
    );
  }

  example.addEventListener("input", show);
  example.addEventListener("keydown", event => event.key === "Enter" && event.preventDefault());
  // A folder that is chosen for the upload gives an example too.
  builder.closest("form").addEventListener("change", event => {
    const file = event.target.files?.[0];
    if (file?.webkitRelativePath && !names.size) {
      example.value = file.webkitRelativePath;
      show();
    }
  });
  builder.hidden = false;
  show();
}

for (const builder of document.querySelectorAll("[data-path-builder]")) bind(builder);
