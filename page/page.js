// Runs once, below `offered`: {bytes, endings: {picture, driving}} of files that are taken.

// What a video field cannot play, the server refuses in a sentence, or answers with a copy: the
// field's own complaint, which would come first, is not wanted.
document.addEventListener("error", (event) => {
    if (event.target.closest?.("#driving")) event.stopImmediatePropagation();
}, true);

// ----- files that are chosen or dropped
// Gradio judges files by the type that the browser gives, which for many is none, and says of those
// that it does not take little or nothing. Here the ending counts, and the server says a sentence.

const FIELDS = "#picture, #driving";
const TYPES = { picture: "image", driving: "video" };

function roleOf(input) {
    return input.closest("#picture") ? "picture" : "driving";
}

function listOf(file) {
    const list = new DataTransfer();
    list.items.add(file);
    return list.files;
}

document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.type !== "file" || !input.files?.length) return;
    const [file] = input.files;
    const role = roleOf(input);
    const ending = file.name.match(/\.[^.]*$/)?.[0].toLowerCase() ?? "";
    if (file.size > offered.bytes || !offered.endings[role].includes(ending)) {
        event.stopImmediatePropagation();
        input.value = "";
        const detail = { role, name: file.name, size: file.size };
        document.dispatchEvent(new CustomEvent("refused", { detail }));
    } else if (!file.type.startsWith(`${TYPES[role]}/`)) {
        input.files = listOf(new File([file], file.name, { type: `${TYPES[role]}/${ending.slice(1)}` }));
    }
}, true);

document.addEventListener("click", (event) => {
    const input = event.target.closest?.(FIELDS)?.querySelector("input[type=file]");
    if (input) input.accept = [`${TYPES[roleOf(input)]}/*`, ...offered.endings[roleOf(input)]].join();
}, true);

document.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
}, true);

// A file that misses the fields would take the place of the page; one for a full field replaces
// what is there.
document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const field = event.target.closest?.(FIELDS);
    if (!field) return;
    const input = field.querySelector("input[type=file]");
    // An empty drop ends the highlight.
    input?.parentElement.dispatchEvent(new DragEvent("drop", { dataTransfer: new DataTransfer() }));
    if (!input) field.querySelector("button[aria-label=Clear]")?.click();
    choose(field, file, Date.now() + 3000);
}, true);

function choose(field, file, patience) {
    const input = field.querySelector("input[type=file]");
    if (input) {
        input.files = listOf(file);
        input.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (Date.now() < patience) {
        requestAnimationFrame(() => choose(field, file, patience));
    }
}

// ----- where to look
// On a phone the result is above the button that asks for it, or below all that was chosen.

window.showResult = () => {
    const result = document.querySelector("#result");
    const { top, bottom, height } = result.getBoundingClientRect();
    const isSeen = top >= 0 && bottom <= innerHeight;
    if (height && !isSeen && matchMedia("(max-width: 768px)").matches) {
        result.scrollIntoView({ block: "start", behavior: "smooth" });
    }
};
