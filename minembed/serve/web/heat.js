// Cosines as a coloured table; arrow keys move through it.

const RAMP = ["#301254", "#323e8a", "#226a8e", "#1c9484", "#54ba60", "#acd63a", "#fce84a"]; // as the terminal's heat map
const STOPS = RAMP.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));

function colourOf(share) {
  const at = Math.min(1, Math.max(0, share)) * (STOPS.length - 1), i = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[i].map((low, c) => Math.round(low + (STOPS[i + 1][c] - low) * (at - i)));
}

// Black or white, whichever has more contrast on a colour (by WCAG's luminance).
function inkOn(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

// The ends of the colour scale: the smallest and the largest cosine; if they are close, the scale is at least 0 to 1.
function limits(matrix) {
  const all = matrix.flat(), low = Math.min(...all), high = Math.max(...all);
  return high - low < 0.1 ? [Math.min(0, low), Math.max(1, high)] : [low, high];
}

// A number with this many decimal places, never "-0.00".
function places(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

const two = (value) => places(value, 2);

class Heat {
  constructor(chosen) {
    this.chosen = chosen; // called with the row and the column
    this.at = [0, 0];
    this.cells = [];
    const table = byId("heat");
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("tbody td");
      if (cell) this.choose(Number(cell.dataset.row), Number(cell.dataset.column), true);
    });
    table.addEventListener("keydown", (event) => this.move(event));
    byId("ramp").style.background = `linear-gradient(90deg, ${RAMP.join(", ")})`;
  }

  draw(matrix, rows, columns) {
    const [low, high] = limits(matrix), table = byId("heat");
    table.classList.toggle("dense", columns.length > 11);
    byId("low").textContent = two(low);
    byId("high").textContent = two(high);
    const top = make("tr");
    top.append(make("td"), ...columns.map((text) => this.heading(text, "col")));
    for (const head of [...top.cells].slice(1)) head.style.width = `${78 / columns.length}%`; // equal widths
    table.tHead.replaceChildren(top);
    this.cells = matrix.map((values, i) => values.map((value, j) => this.cell(value, (value - low) / (high - low), i, j)));
    table.tBodies[0].replaceChildren(...this.cells.map((cells, i) => {
      const row = make("tr");
      row.append(this.heading(rows[i], "row"), ...cells);
      return row;
    }));
    this.choose(Math.min(this.at[0], rows.length - 1), Math.min(this.at[1], columns.length - 1), false);
  }

  heading(text, scope) {
    const head = make("th"), label = make("span", "", brief(text, 200));
    head.scope = scope;
    head.title = brief(text, 1000);
    head.append(label);
    return head;
  }

  cell(value, share, i, j) {
    const cell = make("td", "", two(value)), rgb = colourOf(share);
    cell.style.background = `rgb(${rgb})`;
    cell.style.color = inkOn(rgb);
    cell.dataset.row = i;
    cell.dataset.column = j;
    cell.tabIndex = -1;
    return cell;
  }

  move(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const ends = { Home: 0, End: this.cells[0].length - 1 }[event.key];
    if (!step && ends === undefined) return;
    event.preventDefault();
    const clamp = (n, most) => Math.min(most, Math.max(0, n));
    const row = clamp(this.at[0] + (step ? step[0] : 0), this.cells.length - 1);
    this.choose(row, step ? clamp(this.at[1] + step[1], this.cells[0].length - 1) : ends, true);
  }

  choose(i, j, focus) {
    const before = document.querySelector("#heat td[aria-selected]");
    if (before) {
      before.removeAttribute("aria-selected");
      before.tabIndex = -1;
    }
    const cell = this.cells[i][j];
    cell.setAttribute("aria-selected", "true");
    cell.tabIndex = 0;
    this.at = [i, j];
    if (focus) cell.focus();
    this.chosen(i, j);
  }
}
