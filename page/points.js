// A picture with points to be dragged. The value: {image, width, height, colours, points: [[x, y]]},
// in [-1, 1], where -1 and 1 are the centres of the first and last pixels.
//
// Where the points are is known here. The server is sent them ("input") one time after the other,
// the latest as soon as it has answered; an answer brings the image alone. A value with another
// `opened` is a new picture, and brings points, too.
const PATIENCE = 5000; // milliseconds, after which an answer is not waited for any longer
const frame = document.createElement("div");
const picture = document.createElement("img");
const layer = document.createElement("div");
frame.className = "canvas";
layer.className = "layer";
picture.alt = "the picture, as its keypoints move it";
picture.draggable = false;
frame.append(picture, layer);
let points = [];
let opened = null;
let moves = 0;
let sent = 0;
let since = null; // when the points that are not yet answered were sent

function show() {
    const value = props.value;
    if (!frame.isConnected) element.append(frame);
    frame.hidden = !value;
    if (!value) return;
    if (picture.src !== value.image) picture.src = value.image;
    if (value.opened !== opened) {
        opened = value.opened;
        points = value.points.map((point) => [...point]);
        moves = sent = 0;
        since = null;
    } else if (value.answered === sent) {
        since = null;
    }
    while (layer.children.length > points.length) layer.lastChild.remove();
    while (layer.children.length < points.length) layer.append(handle(layer.children.length));
    points.forEach(place);
    send();
}

function place([x, y], index) {
    const { width, height, colours } = props.value;
    const dot = layer.children[index];
    dot.style.left = `${100 * (0.5 + (x + 1) / 2 * (width - 1)) / width}%`;
    dot.style.top = `${100 * (0.5 + (y + 1) / 2 * (height - 1)) / height}%`;
    dot.style.background = colours[index];
}

function put(index, x, y) {
    points[index] = [Math.max(-1, Math.min(1, x)), Math.max(-1, Math.min(1, y))];
    place(points[index], index);
    moves += 1;
    send();
}

function send() {
    if (moves === sent || (since !== null && Date.now() - since < PATIENCE)) return;
    sent = moves;
    since = Date.now();
    props.value = { ...props.value, points: points.map((point) => [...point]), sent };
    trigger("input");
}

function drag(index) {
    untilLetGo((now) => {
        const area = picture.getBoundingClientRect();
        const { width, height } = props.value;
        const x = (now.clientX - area.left) / area.width * width - 0.5;
        const y = (now.clientY - area.top) / area.height * height - 0.5;
        put(index, 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1);
    });
}

// Of points that lie over each other, not the topmost: each can be taken at its middle.
function nearestTo({ clientX, clientY }) {
    const distances = [...layer.children].map((dot) => {
        const { x, y, width, height } = dot.getBoundingClientRect();
        return Math.hypot(x + width / 2 - clientX, y + height / 2 - clientY);
    });
    return distances.indexOf(Math.min(...distances));
}

function handle(index) {
    const dot = document.createElement("button");
    dot.type = "button";
    dot.className = "dot";
    dot.setAttribute("aria-label", `keypoint ${index + 1}: arrow keys move it`);
    dot.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        const nearest = nearestTo(event);
        layer.children[nearest].focus({ preventScroll: true });
        drag(nearest);
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
