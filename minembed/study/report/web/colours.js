// Colours: blue raises a score, orange lowers it; people with colour blindness can distinguish them, too.

const MORE = [0, 114, 178], LESS = [213, 94, 0];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function tint(value, most) {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) : 0, [r, g, b] = value < 0 ? LESS : MORE;
  return `rgba(${r}, ${g}, ${b}, ${(share ** 0.8 * 0.85).toFixed(3)})`;
}

const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

// The number of decimal places that show three digits of a number.
const digitsOf = (most) => (most > 0 ? clamp(2 - Math.floor(Math.log10(most)), 8) : 4);

// A number with its sign, never "-0.00".
function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "" : value < 0 ? "\u2212" : "+") + text;
}

// A canvas with a size in CSS pixels, sharp on any screen.
function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const clamp = (n, most) => Math.min(most, Math.max(0, n));
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// Let the arrow keys and the mouse choose a cell of a table that is drawn on a canvas.
function cells(canvas, { size, place, choose, now }) {
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return place(event.clientX - box.left, event.clientY - box.top);
  };
  canvas.addEventListener("pointermove", (event) => {
    const cell = at(event);
    if (cell) choose(...cell);
  });
  canvas.addEventListener("click", (event) => {
    const cell = at(event);
    if (cell) choose(...cell, true);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const [rows, columns] = size(), [i, j] = now();
    choose(clamp(i + step[0], rows - 1), clamp(j + step[1], columns - 1), true);
  });
}
