// Sorting, filtering and enlarging. Without this script the page is complete: it only adds controls to what is there.
"use strict";

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const numeric = head.classList.contains("number");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...sorted([...body.rows], column, numeric, down ? -1 : 1));
    });
  });
}

// Rows by one column; those without a value there come last, whichever the direction.
function sorted(rows, column, numeric, sign) {
  const key = (row) => {
    const cell = row.cells[column];
    const text = numeric ? (cell.dataset.value ?? "") : cell.textContent.trim();
    return text === "" ? null : numeric ? Number(text) : text;
  };
  const keyed = rows.map((row) => ({ row, key: key(row) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * (numeric ? a.key - b.key : words.compare(a.key, b.key));
  });
  return keyed.map((each) => each.row);
}

// A bar above a section: a choice for each facet that has several values there, and a text to look for.
function filterable(section) {
  const blocks = [...section.querySelectorAll("[data-block]")];
  const bar = document.createElement("form");
  bar.className = "filters";
  bar.addEventListener("submit", (event) => event.preventDefault());
  const search = document.createElement("input");
  search.type = "search";
  if (section.dataset.search) labelled(bar, section.dataset.search, search);
  const choices = section.dataset.filterable.split(" ").map((facet) => {
    const values = new Set();
    for (const each of section.querySelectorAll(`[data-${facet}]`)) values.add(each.dataset[facet]);
    if (values.size < 2) return null;
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...[...values].map((value) => new Option(value, value)));
    return { facet, select: labelled(bar, facet[0].toUpperCase() + facet.slice(1), select) };
  }).filter((choice) => choice !== null);
  if (blocks.length === 0 || bar.childElementCount === 0) return;
  const said = document.createElement("output");
  bar.append(said);
  section.querySelector("h2").after(bar);

  const unit = section.querySelector("tbody") ? "rows" : "models";
  const apply = () => {
    const text = search.value.trim().toLowerCase();
    let seen = 0, all = 0;
    for (const block of blocks) {
      const rows = [...block.querySelectorAll("tbody tr:not(.reference)")];
      const items = rows.length > 0 ? rows : [block];
      let kept = 0;
      for (const item of items) {
        const chosen = choices.every(({ facet, select }) =>
          select.value === "" || (item.dataset[facet] ?? block.dataset[facet]) === select.value);
        item.hidden = !(chosen && item.textContent.toLowerCase().includes(text));
        kept += !item.hidden;
      }
      block.hidden = kept === 0;
      seen += kept;
      all += items.length;
    }
    said.value = seen === all ? `${all} ${unit}` : `${seen} of ${all} ${unit}`;
  };
  bar.addEventListener("input", apply);
  apply();
}

function labelled(bar, title, control) {
  const label = document.createElement("label");
  label.append(title, control);
  bar.append(label);
  return control;
}

// A picture within a button that gives it the page's whole width, and takes it back.
function enlargeable(figure) {
  const button = document.createElement("button");
  const image = figure.querySelector("img");
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.title = "Enlarge";
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    const large = figure.classList.toggle("large");
    button.setAttribute("aria-pressed", String(large));
    button.title = large ? "Shrink" : "Enlarge";
  });
}

document.querySelectorAll("table[data-sortable]").forEach(sortable);
document.querySelectorAll("[data-filterable]").forEach(filterable);
document.querySelectorAll("[data-enlarge]").forEach(enlargeable);
