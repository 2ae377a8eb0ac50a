"use strict";

const form = document.getElementById("form");
const result = document.getElementById("result");
const token = decodeURIComponent(window.location.hash.slice(1));

// The secret must not stay in the address bar or in the history.
window.history.replaceState(null, "", window.location.pathname);

async function save(password) {
  const response = await fetch("/api/auth/password-reset", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": "id" },
    body: JSON.stringify({ token, password }),
  });
  if (response.ok) {
    form.hidden = true;
    return "Kata sandi telah diganti. Silakan masuk kembali melalui portal.";
  }
  const error = await response.json();
  return (error.errors.password || [error.message]).join(" ");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = document.getElementById("password").value;
  if (password !== document.getElementById("repeated").value) {
    result.textContent = "Kedua kata sandi tidak sama.";
    return;
  }
  try {
    result.textContent = await save(password);
  } catch {
    result.textContent = "Layanan tidak dapat dihubungi. Silakan coba lagi.";
  }
});
