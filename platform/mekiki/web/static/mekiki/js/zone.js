// [name="browser_zone"]: gets the browser's time zone, which the site takes as its own when the first admin logs in.

const field = document.querySelector('[name="browser_zone"]');
if (field) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
