"use strict";

const form = document.getElementById("form");
const button = document.getElementById("save");
const result = document.getElementById("result");
const token = window.location.hash.slice(1);

// The secret must not stay in the address bar or in the history.
window.history.replaceState(null, "", window.location.pathname);

function show(text, kind) {
  result.textContent = text;
  result.className = kind;
}

async function save(password) {
  const response = await fetch("/api/auth/password-reset", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": "id" },
    body: JSON.stringify({ token, password }),
  });
  if (response.ok) {
    form.hidden = true;
    show("Kata sandi telah diganti. Silakan masuk kembali melalui portal.", "good");
    return;
  }
  const error = await response.json();
  show((error.errors.password || [error.message]).join(" "), "bad");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = document.getElementById("password").value;
  if (password !== document.getElementById("repeated").value) {
    show("Kedua kata sandi tidak sama.", "bad");
    return;
  }
  button.disabled = true;
  try {
    await save(password);
  } catch {
    show("Layanan tidak dapat dihubungi. Silakan coba lagi.", "bad");
  } finally {
    button.disabled = false;
  }
});

if (token) {
  form.hidden = false;
} else {
  show("Tautan ini tidak lengkap. Bukalah tautan yang Anda terima secara utuh, atau mintalah tautan baru kepada administrator.", "bad");
}
