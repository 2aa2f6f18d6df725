// A picture with a box on it. The value: {image, width, height, box: [x, y, w, h] in pixels}.
// The box keeps its aspect, which is that of the networks' frames.
const SMALLEST = 16; // pixels of the picture
const frame = document.createElement("div");
const picture = document.createElement("img");
const box = document.createElement("div");
const corner = document.createElement("div");
frame.className = "canvas";
box.className = "box";
box.tabIndex = 0;
box.setAttribute("role", "img");
box.setAttribute("aria-label", "the part that is used: arrow keys move it, plus and minus size it");
corner.className = "corner";
picture.alt = "";
picture.draggable = false;
box.append(corner);
frame.append(picture, box);

function show() {
    const value = props.value;
    if (!frame.isConnected) element.append(frame);
    frame.hidden = !value;
    if (!value) return;
    if (picture.src !== value.image) picture.src = value.image;
    const [x, y, w, h] = value.box;
    box.style.left = `${100 * x / value.width}%`;
    box.style.top = `${100 * y / value.height}%`;
    box.style.width = `${100 * w / value.width}%`;
    box.style.height = `${100 * h / value.height}%`;
}

function clamp(number, low, high) {
    return Math.max(low, Math.min(high, number));
}

function choose(x, y, w) {
    const { width, height, box: [, , oldWidth, oldHeight] } = props.value;
    const aspect = oldHeight / oldWidth;
    w = clamp(w, Math.min(SMALLEST, oldWidth), Math.min(width, height / aspect));
    const h = Math.min(height, Math.max(1, Math.round(w * aspect)));
    w = Math.max(1, Math.floor(w));
    x = Math.round(clamp(x, 0, width - w));
    y = Math.round(clamp(y, 0, height - h));
    props.value = { ...props.value, box: [x, y, w, h] };
    show();
}

function drag(event, move) {
    event.preventDefault();
    event.stopPropagation();
    box.focus({ preventScroll: true });
    const start = { x: event.clientX, y: event.clientY };
    const [x, y, w, h] = props.value.box;
    const scale = props.value.width / picture.clientWidth;
    untilLetGo((now) => move(
        [x, y, w, h], scale * (now.clientX - start.x), scale * (now.clientY - start.y)));
}

box.addEventListener("pointerdown", (event) =>
    drag(event, ([x, y, w], right, down) => choose(x + right, y + down, w)));
corner.addEventListener("pointerdown", (event) =>
    drag(event, ([x, y, w, h], right, down) => {
        const room = Math.min(
            props.value.width - x, (props.value.height - y) * w / h);
        choose(x, y, Math.min(room, w + Math.max(right, down * w / h)));
    }));
box.addEventListener("keydown", (event) => {
    const [x, y, w] = props.value.box;
    const step = Math.max(1, Math.round(props.value.width / 100));
    const moves = {
        ArrowLeft: [x - step, y, w], ArrowRight: [x + step, y, w],
        ArrowUp: [x, y - step, w], ArrowDown: [x, y + step, w],
        "+": [x, y, w + step], "-": [x, y, w - step],
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(...moves[event.key]);
});
watch("value", show);
show();
