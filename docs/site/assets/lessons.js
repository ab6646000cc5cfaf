// The questions of the lessons: asks for the answer before it shows it. Without this script the page is complete.
(function () {
  "use strict";

  // Whether what a reader typed is the number, or the letter, to the tolerance; null if it is neither.
  function isRight(said, answer, within) {
    const text = said.trim().replace("−", "-").replace(",", ".");
    if (within === undefined) return text === "" ? null : text === answer;
    if (!/^[-+]?(\d+\.?\d*|\.\d+)%?$/.test(text)) return null;
    return Math.abs(parseFloat(text) - parseFloat(answer)) <= parseFloat(within) + 1e-9;
  }

  function make(name, properties, children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...(children || []));
    return element;
  }

  function ask(details, n) {
    const answer = details.dataset.answer, within = details.dataset.within;
    const form = make("form", { className: "lesson-question" });
    const told = make("output", { ariaLive: "polite" });
    let said;
    if (within === undefined) {
      const list = details.previousElementSibling;
      for (const item of list.querySelectorAll("li")) {
        const letter = item.textContent.trim()[0];
        const radio = make("input", { type: "radio", name: "lesson-" + n, value: letter, required: true });
        form.append(make("label", {}, [radio, " " + item.textContent.trim()]));
      }
      list.remove();
      said = () => new FormData(form).get("lesson-" + n) || "";
    } else {
      const field = make("input", { type: "text", inputMode: "decimal", autocomplete: "off", size: 8 });
      form.append(make("label", {}, ["Your answer: ", field]));
      said = () => field.value;
    }
    form.append(make("button", { type: "submit", className: "md-button", textContent: "Check" }), " ", told);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const right = isRight(said(), answer, within);
      told.textContent = right === null ? "A number, please." : right ? "Right." : "Not yet.";
      form.dataset.right = String(right);
      if (right) details.open = true;
    });
    details.before(form);
    details.querySelector("summary").textContent = "Show the answer";
  }

  const start = () => document.querySelectorAll("details[data-answer]").forEach(ask);
  if (typeof module === "object") module.exports = { isRight };
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
