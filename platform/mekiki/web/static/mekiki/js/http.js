// Requests to this server, with the CSRF token, and errors that carry the server's own words.

import { idleMilliseconds } from "./idle.js";

export class HttpError extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** The token of this page; the cookie's changes at login, the page's does not outlive it. */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

// A page that polls while nobody is there must not keep the session alive: each request says for how long nobody has
// used the page (accounts/sessions.py).
function idle() {
  return { "X-Mekiki-Idle": String(Math.floor(idleMilliseconds() / 1000)) };
}

document.addEventListener("htmx:configRequest", event => Object.assign(event.detail.headers, idle()));

async function read(response) {
  const type = response.headers.get("content-type") ?? "";
  const body = type.includes("json") ? await response.json() : await response.text();
  if (!response.ok) {
    const message = typeof body === "object" && typeof body?.detail === "string" ? body.detail : "";
    throw new HttpError(response.status, message, body);
  }
  return body;
}

/** GET JSON. Throws HttpError for a refusal, TypeError when the server cannot be reached. */
export async function get(url, options = {}) {
  return read(
    await fetch(url, {
      headers: { Accept: "application/json", ...idle() },
      credentials: "same-origin",
      ...options,
    }),
  );
}

/** POST JSON (or a FormData as it is); the answer as JSON. Throws as get. */
export async function post(url, data = {}, options = {}) {
  const form = data instanceof FormData;
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken(), ...idle() };
  if (!form) headers["Content-Type"] = "application/json";
  return read(
    await fetch(url, {
      method: "POST",
      headers,
      credentials: "same-origin",
      body: form ? data : JSON.stringify(data),
      ...options,
    }),
  );
}
