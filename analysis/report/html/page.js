// Draws the figures from the shared data, and links each heatmap to its curves.
// The libraries stand above this text in the same module; nothing is fetched.
const store = JSON.parse(document.getElementById("store").textContent);

function expand(name) {
  const { n, columns } = store.datasets[name];
  const rows = Array.from({ length: n }, () => ({}));
  for (const [field, values] of Object.entries(columns)) {
    const { levels, at } = values ?? {};
    for (let i = 0; i < n; i++) rows[i][field] = levels ? levels[at[i]] : values[i];
  }
  return rows;
}

function named(spec, found = new Set()) {
  if (spec && typeof spec === "object") {
    if (spec.data && spec.data.name) found.add(spec.data.name);
    Object.values(spec).forEach((part) => named(part, found));
  }
  return found;
}

const views = {};
const begun = new Map();
const options = { renderer: "svg", actions: false, tooltip: { theme: "light" } };

async function drawn(figure) {
  const place = document.getElementById(figure.stem);
  const datasets = Object.fromEntries([...named(figure.spec)].map((name) => [name, expand(name)]));
  const { view } = await window.vegaEmbed(place, { ...figure.spec, datasets }, options);
  views[figure.stem] = view;
  place.querySelector("svg")?.setAttribute("aria-label", figure.label);
  if (!figure.link) return;
  view.addSignalListener("cell", (_, value) => {
    views[figure.link]?.signal("chosen", value?.cell?.[0] ?? "").runAsync();
  });
}

function draw(figure) {
  if (!begun.has(figure.stem)) begun.set(figure.stem, drawn(figure));
  return begun.get(figure.stem);
}

// A figure has no width inside a closed fold. It is drawn when the fold is opened.
const inView = (figure) =>
  !document.getElementById(figure.stem).closest("details:not([open])");
const drawInView = () => Promise.all(store.figures.filter(inView).map(draw));
const folds = [...document.querySelectorAll("details")];
for (const fold of folds) fold.addEventListener("toggle", drawInView);

function unfold() {
  for (const fold of folds) fold.open = true;
  return drawInView();
}
document.getElementById("unfold")?.addEventListener("click", unfold);
// A print shows every figure.
window.addEventListener("beforeprint", unfold);

// Without a pause, so that a picture taken when the page has loaded shows them.
for (const figure of store.figures.filter(inView)) await draw(figure);
document.documentElement.dataset.ready = "true";
