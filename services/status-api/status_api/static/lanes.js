// Draws who owned which partition: a lane for each partition, time along, a colour for each owner, a line for each
// generation. The picture moves by its own clock between two answers of the server.
"use strict";

{
  const LANE_PX = 22;
  const GAP_PX = 4;
  const TOP_PX = 18; // above the lanes: the numbers of the generations
  const TICKS = 5;
  const TICK_PX = 24; // half of the width of a tick's text
  const REDRAW_MS = 500;
  const SVG = "http://www.w3.org/2000/svg";

  const byId = (id) => document.getElementById(id);
  let data = null;
  let answeredAt = 0;
  let chosen = null; // the group that the reader has chosen; without one, the last that rebalanced
  let frozenAt = null; // the right end of the picture while it is paused
  let asking = false;

  function svg(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const span = () => Number(byId("lanes-zoom").value);
  const now = () => data.now + (performance.now() - answeredAt) / 1000;
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
  const length = (seconds) => `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;

  function hatching() {
    const pattern = svg("pattern", { id: "nobody", width: 8, height: 8, patternUnits: "userSpaceOnUse" });
    pattern.append(svg("rect", { class: "hatch-ground", width: 8, height: 8 }));
    pattern.append(svg("path", { class: "hatch-line", d: "M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6" }));
    const definitions = svg("defs", {});
    definitions.append(pattern);
    return definitions;
  }

  function draw() {
    if (!data) return;
    const picture = byId("lanes-picture");
    const width = Math.max(120, picture.parentElement.clientWidth - byId("lanes-names").offsetWidth);
    const height = TOP_PX + data.lanes.length * (LANE_PX + GAP_PX) + 16;
    const right = frozenAt ?? now();
    const left = right - span();
    const x = (seconds) => ((Math.min(Math.max(seconds, left), right) - left) / span()) * width;
    const colours = new Map(data.owners.map((owner) => [owner.name, owner.colour]));
    const parts = [hatching()];
    data.lanes.forEach((lane, place) => {
      const y = TOP_PX + place * (LANE_PX + GAP_PX);
      for (const [began, ended, owner] of lane.bands) {
        const to = ended ?? right;
        if (to <= left || began >= right) continue;
        const kind = owner === null ? "nobody" : `owner-${colours.get(owner)}`;
        const band = svg("rect", {
          class: `band ${kind}`, x: x(began), y, width: Math.max(x(to) - x(began), 1), height: LANE_PX,
          "data-owner": owner ?? "", "data-partition": lane.partition,
        });
        band.append(svg("title", {}, `${lane.partition}: ${owner ?? "nobody"}, from ${clock(began)} UTC for ${length(to - began)}`));
        parts.push(band);
      }
    });
    const step = span() / TICKS;
    for (let tick = Math.ceil(left / step) * step; tick < right; tick += step) {
      if (x(tick) < TICK_PX || x(tick) > width - TICK_PX) continue;
      parts.push(svg("text", { class: "tick", x: x(tick), y: height - 3, "text-anchor": "middle" }, clock(tick).slice(0, step < 60 ? 8 : 5)));
    }
    let free = -1; // numbers that would cover each other are left out, their lines stay
    for (const [at, label] of data.lines) {
      if (at < left || at > right) continue;
      parts.push(svg("line", { class: "generation", x1: x(at), x2: x(at), y1: TOP_PX - 4, y2: height - 16 }));
      const half = label.length * 4 + 2;
      const middle = Math.min(Math.max(x(at), half), width - half);
      if (middle - half <= free) continue;
      parts.push(svg("text", { class: "generation-name", x: middle, y: 11, "text-anchor": "middle" }, label));
      free = middle + half;
    }
    picture.setAttribute("width", width);
    picture.setAttribute("height", height);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(...parts);
    byId("lanes-span").textContent = `${clock(left)} – ${clock(right)} UTC${frozenAt === null ? "" : ", paused"}`;
  }

  function same(list, texts) {
    return list.length === texts.length && [...list].every((item, place) => item.textContent === texts[place]);
  }

  function showGroups() {
    const select = byId("lanes-group");
    if (!same(select.options, data.groups)) select.replaceChildren(...data.groups.map((group) => new Option(group, group)));
    if (select.value !== data.group) select.value = data.group;
  }

  function showOwners() {
    const items = [...data.owners.map(({ name, colour }) => [name, `owner-${colour}`]), ["nobody", "nobody"]];
    byId("lanes-owners").replaceChildren(
      ...items.map(([name, kind]) => {
        const item = document.createElement("li");
        const swatch = document.createElement("span");
        swatch.className = `swatch ${kind}`;
        item.append(swatch, name);
        return item;
      }),
    );
    byId("lanes-names").replaceChildren(
      ...data.lanes.map(({ partition }) => {
        const name = document.createElement("span");
        name.textContent = name.title = partition;
        return name;
      }),
    );
  }

  // The same for those who do not see the picture, changed only where it differs: nothing is read out again.
  function showText() {
    const left = (frozenAt ?? now()) - span();
    const texts = data.lanes.map(({ partition, bands }) => {
      const shown = bands.filter(([, ended]) => ended === null || ended > left);
      const phrases = shown.map(([began, ended, owner]) => {
        const end = ended === null ? "until now" : `for ${length(ended - began)}`;
        return `${owner ?? "nobody"} from ${clock(began)} ${end}`;
      });
      return `${partition}: ${phrases.join(", then ")}`;
    });
    if (data.more) texts.push(`${data.more} further partitions have no lane.`);
    const list = byId("lanes-text");
    if (same(list.children, texts)) return;
    list.replaceChildren(
      ...texts.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }),
    );
  }

  async function ask() {
    if (asking || frozenAt !== null || !byId("lanes")) return;
    asking = true;
    try {
      const query = chosen === null ? "" : `?group=${encodeURIComponent(chosen)}`;
      const response = await fetch(`/live/lanes${query}`, { cache: "no-store", signal: AbortSignal.timeout(4000) });
      if (!response.ok) return;
      data = await response.json();
      answeredAt = performance.now();
      byId("lanes").hidden = data.lanes.length === 0;
      showGroups();
      showOwners();
      showText();
      draw();
    } catch {
      // page.js shows that the server is gone.
    } finally {
      asking = false;
    }
  }

  function freeze(at) {
    frozenAt = at;
    const paused = at !== null;
    byId("lanes-pause").setAttribute("aria-pressed", String(paused));
    byId("lanes-pause").textContent = paused ? "Go on" : "Pause";
    if (!paused) {
      byId("lanes-scrub").value = 0;
      byId("lanes-scrub").setAttribute("aria-valuetext", "now");
      ask();
    }
    showText();
    draw();
  }

  document.addEventListener("click", (event) => {
    if (event.target.id === "lanes-pause" && data) freeze(frozenAt === null ? now() : null);
  });
  document.addEventListener("input", (event) => {
    if (event.target.id !== "lanes-scrub" || !data) return;
    const back = Number(event.target.value);
    event.target.setAttribute("aria-valuetext", back ? `${back} seconds back` : "now");
    freeze(back ? now() - back : null);
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "lanes-zoom" && data) {
      showText();
      draw();
    }
    if (event.target.id !== "lanes-group") return;
    chosen = event.target.value;
    freeze(null);
  });
  document.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("newsroom:refreshed", ask);
  addEventListener("resize", draw);
  setInterval(() => {
    if (frozenAt === null && !document.hidden) draw();
  }, REDRAW_MS);
}
