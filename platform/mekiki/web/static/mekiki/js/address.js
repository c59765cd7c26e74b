// [data-address-from]: fills in an address for the name that is typed, until a person writes one.

const holder = document.querySelector("[data-address-from]");
const name = holder.querySelector('[name="name"]');
const slug = holder.querySelector('[name="slug"]');
const PAUSE_MS = 300;
let timer = 0;
let asked = 0;
let own = slug.value !== "";

async function suggest() {
  const mine = ++asked;
  const query = new URLSearchParams({ name: name.value });
  const answer = await fetch(`${holder.dataset.addressFrom}?${query}`, {
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) return;
  const suggestion = (await answer.json()).slug;
  if (mine === asked && !own) slug.value = suggestion;
}

function soon(event) {
  if (own || event.isComposing) return;
  clearTimeout(timer);
  timer = setTimeout(suggest, PAUSE_MS);
}

name.addEventListener("input", soon);
name.addEventListener("compositionend", soon);
slug.addEventListener("input", () => {
  own = slug.value !== "";
});
