// What a video field cannot play, the server refuses in a sentence, or answers with a copy: the
// field's own complaint, which would come first, is not wanted.
document.addEventListener("error", (event) => {
    if (event.target.closest?.("#driving")) event.stopImmediatePropagation();
}, true);
