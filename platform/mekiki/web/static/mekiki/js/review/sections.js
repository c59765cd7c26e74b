// The row of the dataset's sections is folded on this page, so that the image has its room. A button unfolds it.

export function foldSections(button, choices) {
  const nav = document.querySelector(".sections");
  if (!nav) {
    button.hidden = true;
    return;
  }
  nav.id ||= "sections";
  button.setAttribute("aria-controls", nav.id);
  const draw = open => {
    document.body.classList.toggle("sections-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => {
    const open = !choices.has("sections");
    choices.set("sections", open);
    draw(open);
  });
  draw(choices.has("sections"));
}
