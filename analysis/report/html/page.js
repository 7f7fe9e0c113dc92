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
const options = { renderer: "svg", actions: false, tooltip: { theme: "light" } };

async function draw(figure) {
  const place = document.getElementById(figure.stem);
  const datasets = Object.fromEntries([...named(figure.spec)].map((name) => [name, expand(name)]));
  const { view } = await window.vegaEmbed(place, { ...figure.spec, datasets }, options);
  views[figure.stem] = view;
  place.querySelector("svg")?.setAttribute("aria-label", figure.label);
}

for (const figure of store.figures) {
  await draw(figure);
  // Between figures the page stays usable while it fills.
  await new Promise((resolve) => setTimeout(resolve));
}
for (const { stem, link } of store.figures) {
  const curves = views[link];
  if (!curves) continue;
  views[stem].addSignalListener("cell", (_, value) => {
    curves.signal("chosen", value?.cell?.[0] ?? "").runAsync();
  });
}
document.documentElement.dataset.ready = "true";
