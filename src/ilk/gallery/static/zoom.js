// An image that is fitted into an area, enlarged and moved about: wheel, pinch, double click, drag.

const MOST = 16; // screen pixels a pixel
const TINY = 64; // px: such images fill half of the area at once

export class Zoom {
  // look.changed(scale), look.swipe(dx): a finger went aside while the image is fitted
  constructor(area, image, look) {
    this.area = area;
    this.image = image;
    this.look = look;
    this.points = new Map();
    this.reset();
    area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    area.addEventListener("dblclick", (event) => this.toggle(event));
    area.addEventListener("pointerdown", (event) => this.down(event));
    area.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, (event) => this.up(event));
    new ResizeObserver(() => this.width && this.measure(this.width, this.height, true)).observe(area);
  }

  reset() {
    this.width = 0;
    this.fitted = true;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
  }

  // width, height: of the image in its own pixels; kept: a sharper picture of the same image
  measure(width, height) {
    const box = this.area.getBoundingClientRect();
    this.box = box;
    this.width = width;
    this.height = height;
    const fit = Math.min((box.width - 32) / width, (box.height - 32) / height);
    const tiny = Math.max(width, height) <= TINY;
    this.fit = tiny ? Math.max(1, Math.floor(fit * 0.7)) : Math.min(fit, Math.max(1, Math.min(2.5, 960 / Math.max(width, height))));
    this.most = Math.max(tiny ? 128 : MOST, this.fit);
    if (this.fitted) this.scale = this.fit;
    this.apply();
  }

  apply() {
    if (!this.width) return;
    const { box, width, height, scale } = this;
    const slack = (size, room) => Math.max(0, (size * scale - room) / 2 + 24);
    const limit = (value, most) => Math.min(most, Math.max(-most, value));
    this.x = this.fitted ? 0 : limit(this.x, slack(width, box.width));
    this.y = this.fitted ? 0 : limit(this.y, slack(height, box.height));
    const left = (box.width - width * scale) / 2 + this.x;
    const top = (box.height - height * scale) / 2 + this.y;
    this.image.style.width = `${width}px`;
    this.image.style.height = `${height}px`;
    this.image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    this.area.classList.toggle("large", !this.fitted);
    this.look.changed(scale);
  }

  // The point of the image under (px, py) of the window stays where it is.
  to(scale, px, py) {
    if (!this.width) return;
    const next = Math.min(this.most, Math.max(this.fit * 0.5, scale));
    const [cx, cy] = [this.box.left + this.box.width / 2, this.box.top + this.box.height / 2];
    const [dx, dy] = px === undefined ? [0, 0] : [px - cx, py - cy];
    const ratio = next / this.scale;
    this.x = dx - (dx - this.x) * ratio;
    this.y = dy - (dy - this.y) * ratio;
    this.scale = next;
    this.fitted = false;
    if (next <= this.fit * 1.001) {
      this.fitted = true;
      this.scale = this.fit;
    }
    this.apply();
  }

  by(factor, px, py) {
    this.to(this.scale * factor, px, py);
  }

  toggle(event) {
    const [px, py] = event ? [event.clientX, event.clientY] : [];
    if (!this.fitted) this.to(this.fit);
    else this.to(this.fit < 0.98 ? 1 : this.fit * 2.5, px, py);
  }

  wheel(event) {
    event.preventDefault();
    const step = event.deltaMode ? event.deltaY * 30 : event.deltaY;
    this.by(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
  }

  down(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.area.setPointerCapture(event.pointerId);
    this.points.set(event.pointerId, [event.clientX, event.clientY]);
    this.start = this.points.size === 1 ? [event.clientX, event.clientY] : null;
  }

  move(event) {
    const before = this.points.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    if (this.points.size === 1) {
      if (!this.fitted) {
        this.x += now[0] - before[0];
        this.y += now[1] - before[1];
        this.apply();
      }
    } else {
      const other = [...this.points].find(([id]) => id !== event.pointerId)[1];
      const far = (a) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
      this.by(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    this.points.set(event.pointerId, now);
  }

  up(event) {
    this.points.delete(event.pointerId);
    if (this.start && this.fitted && event.pointerType === "touch" && event.type === "pointerup") this.look.swipe(event.clientX - this.start[0]);
    this.start = null;
  }
}
