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

// Copies a shown secret. Without a secure context there is no clipboard to write to: it is selected instead.
document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-webhooks-copy]");
    if (!button) {
        return;
    }
    const shown = document.getElementById(button.dataset.webhooksCopy);
    try {
        await navigator.clipboard.writeText(shown.textContent);
        button.textContent = button.dataset.webhooksCopied;
    } catch {
        getSelection().selectAllChildren(shown);
    }
});
