// <details data-facets>: open where it stands beside the images. Below them on small screens, it opens on request.

const facets = document.querySelector("[data-facets]");
const beside = matchMedia("(min-width: 64rem)");

if (facets) {
  facets.open = beside.matches;
  beside.addEventListener("change", () => {
    facets.open = beside.matches;
  });
}
