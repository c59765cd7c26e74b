// Passkeys (WebAuthn). [data-passkey] is a form with a hidden field “credential”.
// If the field has another name, it carries [data-passkey-credential]. The values of data-passkey are:
//   data-passkey="add"    data-options: creation options; the box “alone” asks for a passkey that needs no password
//   data-passkey="answer" data-options: request options
//   data-passkey="login"  the options come from the form's own address
// The form is sent when the browser's dialogue has given its answer.
// [data-passkey-problem] holds the messages for failures.

const decode = text => {
  const padded = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(padded), c => c.charCodeAt(0));
};

const encode = buffer => {
  const text = Array.from(new Uint8Array(buffer), byte => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

const withIds = list => (list ?? []).map(one => ({ ...one, id: decode(one.id) }));

async function create(options, alone) {
  const given = options.publicKey;
  const publicKey = {
    ...given,
    challenge: decode(given.challenge),
    user: { ...given.user, id: decode(given.user.id) },
    excludeCredentials: withIds(given.excludeCredentials),
    authenticatorSelection: {
      ...given.authenticatorSelection,
      residentKey: alone ? "required" : "discouraged",
      requireResidentKey: alone,
      userVerification: alone ? "required" : "preferred",
    },
  };
  const made = await navigator.credentials.create({ publicKey });
  return describe(made, {
    attestationObject: encode(made.response.attestationObject),
    transports: made.response.getTransports?.() ?? [],
  });
}

async function ask(options) {
  const given = options.publicKey;
  const publicKey = {
    ...given,
    challenge: decode(given.challenge),
    allowCredentials: withIds(given.allowCredentials),
  };
  const answer = await navigator.credentials.get({ publicKey });
  const { authenticatorData, signature, userHandle } = answer.response;
  return describe(answer, {
    authenticatorData: encode(authenticatorData),
    signature: encode(signature),
    userHandle: userHandle ? encode(userHandle) : null,
  });
}

function describe(credential, response) {
  return {
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? null,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { clientDataJSON: encode(credential.response.clientDataJSON), ...response },
  };
}

async function answerOf(form) {
  if (form.dataset.passkey === "add")
    return create(JSON.parse(form.dataset.options), form.elements.alone.checked);
  if (form.dataset.passkey === "answer") return ask(JSON.parse(form.dataset.options));
  const body = new URLSearchParams({
    challenge: "1",
    csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value,
  });
  const response = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json" },
    body,
  });
  if (!response.ok) throw new Error(response.statusText);
  return ask(await response.json());
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  const button = form.querySelector("button");
  const problem = form.querySelector("[data-passkey-problem]");
  const credential = form.querySelector("[data-passkey-credential]") ?? form.elements.credential;
  if (!window.PublicKeyCredential) {
    button.disabled = true;
    problem.hidden = false;
    problem.textContent = form.dataset.unsupported;
    continue;
  }
  form.addEventListener("submit", async event => {
    if (credential.value) return;
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      credential.value = JSON.stringify(await answerOf(form));
      button.disabled = false;
      form.requestSubmit(button);
    } catch {
      // Cancelled, no passkey for this site, or one that is registered already: browsers do not tell which.
      problem.hidden = false;
      problem.textContent = form.dataset.failed;
      button.disabled = false;
    }
  });
}
