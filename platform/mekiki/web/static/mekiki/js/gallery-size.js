// [data-gallery-size]: a slider for the width of the thumbnails, kept in this browser.

const slider = document.querySelector("[data-gallery-size]");
const grid = document.querySelector(".gallery");
const KEY = "mekiki-gallery-size";

function show(value) {
  grid?.style.setProperty("--thumb-width", `${value}rem`);
}

if (slider && grid) {
  slider.closest("[hidden]")?.removeAttribute("hidden");
  try {
    slider.value = localStorage.getItem(KEY) || slider.value;
  } catch {
    // Storage is switched off: the usual size.
  }
  show(slider.value);
  slider.addEventListener("input", () => {
    show(slider.value);
    try {
      localStorage.setItem(KEY, slider.value);
    } catch {
      // The size is used until the page is left.
    }
  });
}
