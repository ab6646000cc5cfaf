// The tokens of a text as buttons, each coloured by a number.

class Chips {
  constructor(name, pieces, constants, pointed) {
    this.element = make("div", "tokens");
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", name);
    this.tokens = pieces.length;
    this.buttons = [...pieces, ...constants].map((piece, i) => {
      const button = make("button", i < pieces.length ? "" : "constant", shown(piece));
      button.type = "button";
      button.tabIndex = i ? -1 : 0;
      return button;
    });
    this.element.append(...this.buttons);
    this.element.addEventListener("pointerover", (event) => this.hit(event, pointed));
    this.element.addEventListener("click", (event) => this.hit(event, pointed));
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], at = this.buttons.indexOf(event.target);
      if (!step || at < 0) return;
      event.preventDefault();
      const next = clamp(at + step, this.buttons.length - 1);
      this.buttons[next].focus();
      pointed(next);
    });
  }

  hit(event, pointed) {
    const at = this.buttons.indexOf(event.target);
    if (at >= 0) pointed(at);
  }

  colour(values, most, words) {
    this.buttons.forEach((button, i) => {
      button.style.backgroundImage = `linear-gradient(${tint(values[i], most)}, ${tint(values[i], most)})`;
      button.title = words(values[i]);
    });
  }

  press(which) {
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === which));
      button.tabIndex = i === Math.max(0, which) ? 0 : -1;
    });
  }
}
