// Copyright (c) 2026, lab.multidevice contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The page is whole without this. It tells what a stretch of the timeline is to fingers and keys, and finds nodes.
"use strict";
(() => {
  const told = document.createElement("div");
  told.id = "told";
  told.setAttribute("role", "status");
  told.hidden = true;
  document.body.append(told);
  let marked = null;

  const titleOf = (shape) => shape.querySelector("title").textContent;
  const laneOf = (shape) => shape.closest(".lane");
  const hide = () => {
    told.hidden = true;
    if (marked) marked.classList.remove("here");
    marked = null;
  };
  const tell = (shape) => {
    hide();
    marked = shape;
    shape.classList.add("here");
    told.textContent = laneOf(shape).dataset.node + ": " + titleOf(shape);
    told.hidden = false;
    const at = shape.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - told.offsetWidth - 8));
    const below = at.bottom + 8 + told.offsetHeight < document.documentElement.clientHeight;
    told.style.left = left + "px";
    told.style.top = (below ? at.bottom + 8 : at.top - told.offsetHeight - 8) + "px";
  };
  const shapeAt = (event) => event.target.closest ? event.target.closest(".lane rect") : null;

  // The browser's own tips come late and not at all on a touch screen: the text stays for screen readers.
  document.addEventListener("pointerover", (event) => {
    const shape = shapeAt(event);
    if (shape) tell(shape);
    else if (!document.activeElement.matches(".timeline")) hide();
  });
  document.addEventListener("click", (event) => {
    const shape = shapeAt(event);
    if (shape) tell(shape);
  });
  addEventListener("scroll", hide, { passive: true });

  const step = (timeline, key) => {
    const lanes = [...timeline.querySelectorAll(".lane")].filter((lane) => !lane.hidden && lane.querySelector("rect"));
    if (!lanes.length) return;
    const current = marked && timeline.contains(marked) ? marked : null;
    if (!current) return tell(lanes[0].querySelector("rect"));
    const lane = lanes.indexOf(laneOf(current));
    const shapes = [...lanes[lane].querySelectorAll("rect")];
    const place = shapes.indexOf(current);
    if (key === "ArrowLeft" && place > 0) tell(shapes[place - 1]);
    if (key === "ArrowRight" && place < shapes.length - 1) tell(shapes[place + 1]);
    const other = lanes[lane + (key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0)];
    if (other && other !== lanes[lane]) {
      const x = current.getBoundingClientRect().left;
      const near = [...other.querySelectorAll("rect")].reduce((best, shape) =>
        Math.abs(shape.getBoundingClientRect().left - x) < Math.abs(best.getBoundingClientRect().left - x) ? shape : best);
      tell(near);
      near.closest(".lane").scrollIntoView({ block: "nearest" });
      tell(near);
    }
  };
  for (const timeline of document.querySelectorAll(".timeline")) {
    timeline.tabIndex = 0;
    timeline.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      if (event.target === timeline && event.key.startsWith("Arrow")) {
        event.preventDefault();
        step(timeline, event.key);
      }
    });
    timeline.addEventListener("blur", hide);
  }

  const show = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", show);
  show();

  const tools = document.querySelector(".tools");
  if (tools) {
    tools.hidden = false;
    const find = tools.querySelector("input");
    if (find) {
      find.addEventListener("input", () => {
        const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
        for (const item of document.querySelectorAll("[data-node]")) {
          const text = (item.dataset.node + " " + (item.dataset.about || "")).toLowerCase();
          item.hidden = !words.every((word) => text.includes(word));
        }
      });
    }
    const boxes = () => document.querySelectorAll("main details");
    for (const button of tools.querySelectorAll("button")) {
      button.addEventListener("click", () => boxes().forEach((box) => { box.open = button.value === "open"; }));
    }
  }
})();
