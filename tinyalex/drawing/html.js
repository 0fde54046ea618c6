// Makes the page one to touch. Point at a map, or move to it by Tab and the arrow keys: a frame in
// the picture shows what the unit there sees. A click, or Enter, shows the map large. Radio buttons
// lay what the methods found over the picture. Without scripts the page is complete, and still.
"use strict";

const OUTSIDE = "rgb(128, 128, 128)"; // what a patch has where its unit sees beyond the picture

/** An element with these properties and children. Texts become text: nothing here parses HTML. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const rounded = (value) => Number(value.toPrecision(2));
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => `${100 * share}%`;

// Layers and units

/** What a layer of one tower gives: `facts` of html.py. */
class Layer {
  constructor(name, facts) {
    const [height, width, maps] = facts.shape;
    Object.assign(this, facts, { name, height, width, maps, values: bytes(facts.values),
                                 kernels: bytes(facts.kernels) });
  }

  level({ map, row, column }) {
    return this.values[(row * this.width + column) * this.maps + map];
  }

  value(unit) {
    return (this.level(unit) - this.zero) * this.scale;
  }

  /** The pixels from top to bottom - 1 and left to right - 1; some may be outside the picture. */
  field({ row, column }) {
    const [top, left] = [row, column].map((place) => this.first + place * this.step);
    return { top, left, bottom: top + this.size, right: left + this.size };
  }

  draw(map) {
    return painted(this.width, this.height, (column, row) => {
      const level = this.level({ map, row, column });
      return this.palette.subarray(3 * level, 3 * level + 3);
    });
  }

  drawKernel(map) {
    const side = this.kernel_side;
    return painted(side, side, (column, row) => {
      const at = 3 * ((map * side + row) * side + column);
      return this.kernels.subarray(at, at + 3);
    });
  }
}

/** One number of a layer, by what html.py calls it: LAYER:MAP:ROW:COLUMN, as --unit does. */
class Unit {
  constructor(name) {
    const [layer, ...numbers] = name.split(":");
    this.layer = layers.get(layer);
    [this.map, this.row, this.column] = numbers.map(Number);
  }

  /** The unit of the same map at another place, as near to it as there is one. */
  at(row, column) {
    const { name, height, width, full } = this.layer;
    [row, column] = [clamp(row, 0, height - 1), clamp(column, 0, width - 1)];
    if (full && row * width + column >= full) column = (full - 1) % width; // the last row is shorter
    return new Unit(`${name}:${this.map}:${row}:${column}`);
  }

  get name() {
    return [this.layer.name, this.map, this.row, this.column].join(":");
  }

  get place() {
    return this.layer.full ? `unit ${this.row * this.layer.width + this.column}`
                           : `row ${this.row}, column ${this.column}`;
  }

  get mapName() {
    return this.layer.full ? this.layer.name : `map ${this.map} of ${this.layer.name}`;
  }

  get sees() {
    const { size, full } = this.layer;
    const { top, left, bottom, right } = this.layer.field(this);
    return full ? "It sees the whole picture." : `It sees ${size}×${size} pixels: rows ${top} to ` +
      `${bottom - 1}, columns ${left} to ${right - 1}.`;
  }

  toString() {
    return `${this.mapName}, ${this.place}: ${rounded(this.layer.value(this))}`;
  }
}

const { palettes, pictures, layers: facts } =
  JSON.parse(document.getElementById("maps").textContent);
const layers = new Map(Object.keys(facts).map((name) => [name, new Layer(name, facts[name])]));
for (const layer of layers.values()) layer.palette = bytes(palettes[Number(layer.zero > 0)]);

function painted(width, height, colour) {
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.set([...colour(i % width, Math.floor(i / width)), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// The picture with a frame in it, and what lies over it

const methods = [...document.querySelectorAll(".layered figure")].map((figure) => ({
  name: figure.querySelector("figcaption").textContent, image: figure.querySelector("img") }));
const picture = methods[0].image;
const over = make("img", { hidden: true });
const frame = make("div", { className: "frame" });
const opacity = make("input", { type: "range", min: 0, max: 100, value: 80, disabled: true });
const readout = make("output");
const panel = make(
  "div", { className: "panel" },
  make("div", { className: "picture" },
       make("div", { className: "layers" }, picture.cloneNode(), over, frame)),
  make("fieldset", {}, make("legend", {}, "Show"), ...methods.map(choice),
       make("label", {}, "opacity", opacity)),
  readout,
  make("p", { className: "help" }, "Point at a map, or reach it by Tab and the arrow keys: the frame " +
       "is what its unit sees. A click, or Enter, shows it large; there the arrow keys move on."));

function choice({ name, image }, number) {
  const radio = make("input", { type: "radio", name: "method", checked: number === 0 });
  radio.addEventListener("change", () => {
    over.hidden = opacity.disabled = number === 0;
    Object.assign(over, { src: image.src, alt: image.alt, className: image.className });
  });
  return make("label", {}, radio, name);
}

const setOpacity = () => { over.style.opacity = opacity.value / 100; };
opacity.addEventListener("input", setOpacity);
setOpacity();

let shown;

/** Frame what a unit sees, and say what it gives. */
function show(unit) {
  shown = unit;
  const { naturalWidth: width, naturalHeight: height } = picture;
  const { top, left, bottom, right } = unit.layer.field(unit);
  const outside = { top: top < 0, right: right > width, bottom: bottom > height, left: left < 0 };
  Object.assign(frame.style, {
    top: percent(Math.max(top, 0) / height), bottom: percent(1 - Math.min(bottom, height) / height),
    left: percent(Math.max(left, 0) / width), right: percent(1 - Math.min(right, width) / width) });
  for (const [side, cut] of Object.entries(outside)) frame.classList.toggle(`cut-${side}`, cut);
  readout.textContent = `${unit}. ${unit.sees}`;
  if (dialog.open) markPlace(unit);
}

/** The pixels that a unit sees, as a picture. */
function patch(unit) {
  const { size } = unit.layer;
  const { top, left } = unit.layer.field(unit);
  const canvas = make("canvas", { width: size, height: size });
  const context = canvas.getContext("2d");
  context.fillStyle = OUTSIDE;
  context.fillRect(0, 0, size, size);
  context.drawImage(picture, -left, -top);
  return canvas;
}

// A map, large

const title = make("h2");
const close = make("button", { type: "button" }, "Close");
const mark = make("div", { className: "mark" });
const large = make("div", { className: "map large", tabIndex: 0, role: "application" });
const more = make("div");
const parts = make("div", { className: "parts" }, make("div", {}, large, more));
const dialog = make("dialog", { ariaLabel: "a map, large" },
                    make("header", {}, title, close), parts);

function markPlace(unit) {
  const { width, height } = unit.layer;
  Object.assign(mark.style, {
    left: percent(unit.column / width), width: percent(1 / width),
    top: percent(unit.row / height), height: percent(1 / height) });
  large.dataset.unit = unit.name;
}

function open(unit) {
  const { layer, map } = unit;
  title.textContent = unit.mapName;
  large.replaceChildren(layer.draw(map), mark);
  large.ariaLabel = `${unit.mapName}, large. Arrow keys move over its units.`;
  const places = layer.places[map].map(([row, column]) => unit.at(row, column));
  const buttons = places.map((place) => unitButton(
    place, ...(layer.full ? [] : [patch(place)]), `${place.place}: ${rounded(layer.value(place))}`));
  const strongest = make("div", { className: "places" }, ...buttons);
  reachable(strongest, buttons);
  more.replaceChildren(make("h3", {}, "Strongest in this picture"), strongest);
  const exciting = (layer.exciting[map] ?? []).map(({ picture: n, alt, className, caption }) => make(
    "figure", {}, make("img", { src: pictures[n], alt, className }),
    make("figcaption", {}, caption)));
  if (exciting.length) {
    const among = layer.searched.toLocaleString("en");
    more.append(make("h3", {}, `What excites it most, among ${among} pictures`),
                make("div", { className: "places exciting" }, ...exciting));
  }
  if (layer.kernel_side) {
    const kernel = layer.drawKernel(map);
    Object.assign(kernel, { role: "img", ariaLabel: `the kernel of ${unit.mapName}` });
    more.append(make("h3", {}, "Its kernel; 0 is grey"), make("div", { className: "kernel" }, kernel));
  }
  if (!dialog.open) {
    aside.style.height = `${aside.offsetHeight}px`; // so that nothing behind the dialog moves
    parts.prepend(panel);
    dialog.showModal();
  }
  markPlace(unit);
  large.focus({ preventScroll: true });
  show(unit);
}

dialog.addEventListener("close", () => {
  aside.style.height = "";
  aside.append(panel);
});
close.addEventListener("click", () => dialog.close());

large.addEventListener("keydown", (event) => {
  const unit = new Unit(large.dataset.unit);
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
                          ArrowRight: [0, 1] }[event.key] ?? [0, 0];
  if (down || right) {
    event.preventDefault();
    show(unit.at(unit.row + down, unit.column + right));
  }
});

// Maps to point at, in grids

function unitButton(unit, ...content) {
  const button = make("button", { type: "button", ariaLabel: `${unit}` }, ...content);
  button.dataset.unit = unit.name;
  return button;
}

/** Of these buttons Tab reaches one, and the arrow keys the others. */
function reachable(grid, buttons) {
  grid.classList.add("grid");
  buttons.forEach((button, i) => { button.tabIndex = i ? -1 : 0; });
}

document.addEventListener("keydown", (event) => {
  const buttons = [...event.target.closest(".grid")?.querySelectorAll("button") ?? []];
  const at = buttons.indexOf(event.target);
  const top = (button) => button.getBoundingClientRect().top;
  const columns = buttons.filter((button) => top(button) === top(buttons[0])).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const next = { Home: 0, End: buttons.length - 1 }[event.key] ?? at + step;
  if (at >= 0 && buttons[next]) {
    event.preventDefault();
    buttons[at].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
  }
});

/** The unit that is pointed at: of a map the one under the pointer. */
function pointedAt(spot, event) {
  const unit = new Unit(spot.dataset.unit);
  if (!spot.classList.contains("map")) return unit;
  const { left, top, width, height } = spot.getBoundingClientRect();
  return unit.at(Math.floor((event.clientY - top) / height * unit.layer.height),
                 Math.floor((event.clientX - left) / width * unit.layer.width));
}

function onUnits(type, act) {
  document.addEventListener(type, (event) => {
    const spot = event.target.closest?.("[data-unit]");
    if (spot) act(spot, event);
  });
}

for (const type of ["pointermove", "pointerdown"]) {
  onUnits(type, (spot, event) => show(pointedAt(spot, event)));
}
onUnits("focusin", (spot) => {
  if (spot.matches(":focus-visible")) show(new Unit(spot.dataset.unit)); // not by the mouse
});
// A click by the keyboard has no detail; one by the mouse has its place in whole pixels only, which
// may be another unit's.
onUnits("click", (spot, event) => open(event.detail ? shown : new Unit(spot.dataset.unit)));

function mapButton(unit, image) {
  const button = unitButton(unit, image);
  button.className = "map";
  return button;
}

for (const row of document.querySelectorAll(".row")) {
  const maps = [...row.querySelectorAll("img.map")];
  const buttons = maps.map((image) => {
    const mark = document.createComment("");
    image.replaceWith(mark);
    const button = mapButton(new Unit(image.dataset.unit), image);
    delete image.dataset.unit;
    mark.replaceWith(button);
    return button;
  });
  reachable(row, buttons);
}

for (const fold of document.querySelectorAll("details[data-layer]")) {
  fold.addEventListener("toggle", () => {
    const layer = layers.get(fold.dataset.layer);
    const buttons = layer.places.map(([[row, column]], map) => mapButton(
      new Unit([layer.name, map, row, column].join(":")), layer.draw(map)));
    const sheet = make("div", { className: "all" }, ...buttons);
    reachable(sheet, buttons);
    fold.querySelector("img").replaceWith(sheet);
  }, { once: true });
}

const aside = make("aside", { ariaLabel: "the picture, and what a unit sees of it" }, panel);
document.querySelector("main").before(aside);
document.body.append(dialog);
document.body.classList.add("touched");
show(new Unit(document.querySelector("[data-unit]").dataset.unit));
