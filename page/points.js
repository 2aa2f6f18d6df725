// A picture with points to be dragged. The value: {image, width, height, colours, points: [[x, y]]},
// in [-1, 1], where -1 and 1 are the centres of the first and last pixels. Each move triggers "input"; the answer brings a new image, for the points as they were then.
const frame = document.createElement("div");
const picture = document.createElement("img");
const layer = document.createElement("div");
frame.className = "canvas";
layer.className = "layer";
picture.alt = "the picture, as its keypoints move it";
picture.draggable = false;
frame.append(picture, layer);
let points = [];
let dragged = null;

function show() {
    const value = props.value;
    if (!frame.isConnected) element.append(frame);
    frame.hidden = !value;
    if (!value) return;
    if (picture.src !== value.image) picture.src = value.image;
    if (dragged === null) points = value.points.map((point) => [...point]);
    while (layer.children.length > points.length) layer.lastChild.remove();
    while (layer.children.length < points.length) layer.append(handle(layer.children.length));
    points.forEach(place);
}

function place([x, y], index) {
    const dot = layer.children[index];
    const { width, height } = props.value;
    dot.style.left = `${100 * (0.5 + (x + 1) / 2 * (width - 1)) / width}%`;
    dot.style.top = `${100 * (0.5 + (y + 1) / 2 * (height - 1)) / height}%`;
    dot.style.background = props.value.colours[index];
}

function put(index, x, y) {
    points[index] = [Math.max(-1, Math.min(1, x)), Math.max(-1, Math.min(1, y))];
    place(points[index], index);
    props.value = { ...props.value, points: points.map((point) => [...point]) };
    trigger("input");
}

function handle(index) {
    const dot = document.createElement("button");
    dot.type = "button";
    dot.className = "dot";
    dot.setAttribute("aria-label", `keypoint ${index + 1}: arrow keys move it`);
    dot.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        dot.focus({ preventScroll: true });
        dragged = index;
        const follow = (now) => {
            const area = picture.getBoundingClientRect();
            const { width, height } = props.value;
            const x = (now.clientX - area.left) / area.width * width - 0.5;
            const y = (now.clientY - area.top) / area.height * height - 0.5;
            put(index, 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1);
        };
        const end = () => {
            dragged = null;
            window.removeEventListener("pointermove", follow);
            window.removeEventListener("pointerup", end);
            window.removeEventListener("pointercancel", end);
        };
        window.addEventListener("pointermove", follow);
        window.addEventListener("pointerup", end);
        window.addEventListener("pointercancel", end);
    });
    dot.addEventListener("keydown", (event) => {
        const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        if (!(event.key in steps)) return;
        event.preventDefault();
        const [right, down] = steps[event.key];
        put(index, points[index][0] + 0.02 * right, points[index][1] + 0.02 * down);
    });
    return dot;
}

watch("value", show);
show();
