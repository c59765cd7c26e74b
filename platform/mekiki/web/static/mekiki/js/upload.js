// [data-upload]: files chosen or dropped (folders too) are sent in parts, with progress, retry and stop.
// Without scripts it is a plain form that sends everything in one request.

import { csrfToken, post } from "./http.js";

const PART_FILES = 50;
const PART_BYTES = 20 * 1024 * 1024;
const NO_ROOM_PAUSE = 15000;
const PAUSES = [1000, 3000, 8000];

const form = document.querySelector("[data-upload]");
const find = name => form.querySelector(`[data-upload-${name}]`);
const text = (name, values = {}) =>
  Object.entries(values).reduce(
    (s, [key, value]) => s.replace(`{${key}}`, value),
    form.dataset[`text${name}`] ?? "",
  );
const bar = form.querySelector("progress");

let upload = null; // the one that runs

function say(words) {
  find("status").textContent = words;
}

function complain(words) {
  find("error").textContent = words;
  find("error").hidden = !words;
}

/** Files of dropped entries with their paths, folders walked to the bottom. `file` is null where reading failed. */
async function walk(entry, found) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed)).catch(() => null);
    found.push({ file, path });
    return;
  }
  const reader = entry.createReader();
  // A reader gives at most a hundred at a time.
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)).catch(() => null);
    if (some === null) found.push({ file: null, path });
    if (!some?.length) return;
    for (const child of some) await walk(child, found);
  }
}

/** Files into parts of at most 50 files or 20 MB; larger files go by themselves, as a stream. */
function parts(files) {
  const maxFile = Number(form.dataset.maxFile);
  const maxArchive = Number(form.dataset.maxArchive);
  const made = [];
  let part = null;
  for (const item of files) {
    const limit = /\.zip$/i.test(item.path) ? maxArchive : maxFile;
    const refused = !item.file || item.file.size > limit;
    if (!refused && item.file.size > PART_BYTES) {
      made.push({ files: [item], refused: [], bytes: item.file.size, stream: true });
      continue;
    }
    const size = refused ? 0 : item.file.size;
    const count = part ? part.files.length + part.refused.length : 0;
    if (!part || count >= PART_FILES || part.bytes + size > PART_BYTES) {
      part = { files: [], refused: [], bytes: 0, stream: false };
      made.push(part);
    }
    if (!item.file) part.refused.push({ name: item.path, size: 0, unreadable: true });
    else if (refused) part.refused.push({ name: item.path, size: item.file.size });
    else part.files.push(item);
    part.bytes += size;
  }
  return made;
}

/** The server has no room at the moment; the upload goes on by itself. */
class NoRoom extends Error {}
class Refused extends Error {}
class Stopped extends Error {}

/** One request, with progress in bytes (fetch cannot tell it). */
function send(url, body, headers, onProgress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    upload.request = request;
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrfToken());
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = event => onProgress(event.loaded);
    request.onload = () => {
      const json = (request.getResponseHeader("Content-Type") ?? "").includes("json");
      if (request.status < 300 && json) return done();
      // A session that ended leads to the login page, which answers 200.
      if (request.status < 300) return failed(new Refused(text("Login")));
      let detail = "";
      try {
        detail = JSON.parse(request.responseText).detail;
      } catch {
        // not JSON: a proxy's page
      }
      if (request.status === 507) return failed(new NoRoom(detail));
      const again = request.status >= 500 || request.status === 408;
      failed(again ? new Error(detail) : new Refused(detail || String(request.status)));
    };
    request.onerror = () => failed(new Error());
    request.onabort = () => failed(new Stopped());
    request.send(body);
  });
}

function sendPart(part, number, onProgress) {
  const url = `${upload.urls.files}?part=${number}`;
  if (part.stream) {
    const { file, path } = part.files[0];
    const headers = {
      "Content-Type": "application/octet-stream",
      "X-File-Name": encodeURIComponent(path),
      "X-File-Size": String(file.size),
    };
    return send(url, file, headers, onProgress);
  }
  const data = new FormData();
  for (const { file, path } of part.files) {
    data.append("files", file, file.name);
    data.append("names", path);
  }
  data.append("refused", JSON.stringify(part.refused));
  // Last: without it the server knows that the form was cut short.
  data.append("complete", "1");
  return send(url, data, {}, onProgress);
}

function showProgress(sentBytes) {
  const percent = upload.totalBytes ? Math.min(100, Math.floor((sentBytes * 100) / upload.totalBytes)) : 100;
  bar.value = percent;
  say(text("Sending", { sent: upload.sentFiles, total: upload.totalFiles, percent }));
}

/** Send what is left, from the first part that has not arrived. */
async function run() {
  const mine = upload; // "Stop" forgets the upload while this still waits for an answer
  find("retry").hidden = true;
  complain("");
  try {
    mine.urls ??= await post(form.dataset.startUrl, mine.options);
    while (mine.next < mine.parts.length) {
      const part = mine.parts[mine.next];
      for (let attempt = 0; ; attempt += 1) {
        if (mine.stopped) throw new Stopped();
        try {
          await sendPart(part, mine.next, loaded =>
            showProgress(mine.sentBytes + Math.min(loaded, part.bytes)),
          );
          break;
        } catch (error) {
          if (error instanceof NoRoom) {
            complain(error.message);
            await new Promise(done => setTimeout(done, NO_ROOM_PAUSE));
            attempt = -1;
            continue;
          }
          if (error instanceof Refused || error instanceof Stopped || attempt >= PAUSES.length) throw error;
          say(text("Retrying"));
          await new Promise(done => setTimeout(done, PAUSES[attempt]));
        }
      }
      complain("");
      mine.next += 1;
      mine.sentBytes += part.bytes;
      mine.sentFiles += part.files.length + part.refused.length;
      showProgress(mine.sentBytes);
    }
    say(text("Starting"));
    const { url } = await post(mine.urls.finish);
    upload = null;
    location.assign(url);
  } catch (error) {
    if (mine.stopped) {
      if (mine.urls) await post(mine.urls.discard).catch(() => {});
      return;
    }
    complain(((error instanceof Refused || error.status === 507) && error.message) || text("Failed"));
    find("retry").hidden = error instanceof Refused;
  }
}

function begin(files) {
  if (upload) return;
  complain("");
  if (!files.length) {
    say("");
    complain(text("None"));
    return;
  }
  const made = parts(files);
  const totalBytes = made.reduce((sum, part) => sum + part.bytes, 0);
  const options = new FormData();
  for (const field of form.querySelectorAll("[data-upload-options] [name]"))
    if (!["checkbox", "radio"].includes(field.type) || field.checked) options.append(field.name, field.value);
  if (files.length === 1) options.append("title", files[0].path);
  upload = {
    options,
    parts: made,
    next: 0,
    sentBytes: 0,
    sentFiles: 0,
    totalBytes,
    totalFiles: files.length,
  };
  form.dataset.busy = "";
  find("progress").hidden = false;
  showProgress(0);
  run();
}

function reset() {
  upload = null;
  delete form.dataset.busy;
  find("progress").hidden = true;
  form.reset();
}

find("cancel").addEventListener("click", async () => {
  const stopped = upload;
  if (!stopped) return;
  stopped.stopped = true;
  stopped.request?.abort();
  if (stopped.urls) await post(stopped.urls.discard).catch(() => {});
  reset();
  complain("");
  say(text("Cancelled"));
});
find("retry").addEventListener("click", run);

const chosen = input => [...input.files].map(file => ({ file, path: file.webkitRelativePath || file.name }));
for (const input of form.querySelectorAll('input[type="file"]')) {
  input.addEventListener("change", () => input.files.length && begin(chosen(input)));
}
form.addEventListener("submit", event => {
  event.preventDefault();
  begin([...form.querySelectorAll('input[type="file"]')].flatMap(chosen));
});

for (const name of ["dragenter", "dragover"]) {
  form.addEventListener(name, event => {
    event.preventDefault();
    form.dataset.over = "";
  });
}
form.addEventListener("dragleave", event => {
  if (!form.contains(event.relatedTarget)) delete form.dataset.over;
});
form.addEventListener("drop", async event => {
  event.preventDefault();
  delete form.dataset.over;
  if (upload) return;
  // Entries must be taken before the first await: the list is emptied when the event is over.
  const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files].map(file => ({ file, path: file.name }));
  if (!entries.length) return begin(plain);
  say(text("Reading"));
  const found = [];
  for (const entry of entries) await walk(entry, found);
  begin(found);
});
// A file dropped beside the zone must not replace the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, event => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
}
window.addEventListener("beforeunload", event => {
  if (upload) event.preventDefault();
});
