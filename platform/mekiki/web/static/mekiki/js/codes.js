// Recovery codes. [data-codes] holds their text.
// [data-codes-save="file name"] saves the text, and [data-codes-print] prints the page.

const text = document.querySelector("[data-codes]")?.textContent.trim() ?? "";

document.querySelector("[data-codes-save]")?.addEventListener("click", event => {
  const link = document.createElement("a");
  const heading = event.currentTarget.dataset.heading;
  link.href = URL.createObjectURL(new Blob([`${heading}\n\n${text}\n`], { type: "text/plain" }));
  link.download = event.currentTarget.dataset.codesSave;
  link.click();
  URL.revokeObjectURL(link.href);
});

document.querySelector("[data-codes-print]")?.addEventListener("click", () => window.print());
