"use strict";
// Fills the secret's input with "whsec_" and the base64 of 32 random bytes. Nothing leaves the page.
document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-webhooks-generate]");
    if (!button) {
        return;
    }
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const input = document.getElementById(button.dataset.webhooksGenerate);
    input.value = "whsec_" + btoa(String.fromCharCode(...bytes));
    input.focus();
    input.select();
});
