// Draws up to some hundred thousand points: with WebGL where a graphics card draws it, else by writing pixels ourselves,
// which is faster than WebGL without a card. Both draw the same: what is to be seen, dim below plain below chosen.

export const HIDDEN = 0, DIM = 1, PLAIN = 2, CHOSEN = 3;

const VERTEX = `
attribute vec2 at;
attribute vec4 look;
uniform vec4 view;
uniform mediump float size;
varying vec3 colour;
varying float chosen;
void main() {
  float kind = floor(look.a * 255.0 + 0.5);
  chosen = kind > 2.5 ? 1.0 : 0.0;
  gl_Position = vec4(at * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = size + chosen * max(4.0, 0.5 * size);
  colour = look.rgb;
}`;

const FRAGMENT = `
precision mediump float;
uniform vec3 ring;
uniform mediump float size;
varying vec3 colour;
varying float chosen;
void main() {
  float wide = size + chosen * max(4.0, 0.5 * size);
  float far = length(gl_PointCoord - 0.5) * wide;
  float alpha = clamp(0.5 * wide - far, 0.0, 1.0);
  float rim = chosen * clamp(far - 0.5 * wide + 2.5, 0.0, 1.0);
  gl_FragColor = vec4(mix(colour, ring, rim), 1.0) * alpha;
}`;

/**
 * Make what draws points on `canvas`. `kind` is "webgl" or "2d"; without it the faster one is taken.
 *
 * What comes back: `kind`, `locate(x, y)` takes positions (Float32Array of n each), `paint(look, background, ring)` takes
 * (4 n) bytes: red, green, blue, and one of HIDDEN, DIM, PLAIN, CHOSEN; `draw(camera, size)` with the diameter of a point in
 * CSS pixels; `free()`. `lost` is called when the card forgot everything and has got it again.
 */
export function pointsOn(canvas, lost = () => {}, kind = hasCard() ? "webgl" : "2d") {
  const gl = kind === "webgl" ? canvas.getContext("webgl", { antialias: false, depth: false }) : null;
  return gl ? onCard(canvas, gl, lost) : byHand(canvas);
}

/** Whether a graphics card draws WebGL here, and not the processor, which takes longer than writing the pixels ourselves. */
function hasCard() {
  const gl = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const named = gl.getExtension("WEBGL_debug_renderer_info"); // some browsers say it in RENDERER, some not at all
  const name = String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

/** Rows in the order in which they are drawn, hidden ones left out: {rows, chosen: where the chosen begin}. */
export function drawingOrder(look, n) {
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) counts[look[4 * i + 3]]++;
  const rows = new Uint32Array(counts[DIM] + counts[PLAIN] + counts[CHOSEN]);
  const next = [0, 0, counts[DIM], counts[DIM] + counts[PLAIN]];
  for (let i = 0; i < n; i++) {
    const kind = look[4 * i + 3];
    if (kind !== HIDDEN) rows[next[kind]++] = i;
  }
  return { rows, chosen: counts[DIM] + counts[PLAIN] };
}

const blend = (colour, background, share) => Math.round(background + (colour - background) * share);
const DIMMED = 0.22;

function onCard(canvas, gl, lost) {
  let program, where, count = 0, x = null, y = null, rim = [0, 0, 0];

  function build() {
    program = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    where = Object.fromEntries(["view", "size", "ring"].map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    const at = gl.getAttribLocation(program, "at"), look = gl.getAttribLocation(program, "look");
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 12, 0);
    gl.enableVertexAttribArray(look);
    gl.vertexAttribPointer(look, 4, gl.UNSIGNED_BYTE, true, 12, 8);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
  const onLost = (event) => event.preventDefault();
  const onBack = () => { build(); lost(); };
  canvas.addEventListener("webglcontextlost", onLost);
  canvas.addEventListener("webglcontextrestored", onBack);
  build();

  return {
    kind: "webgl",
    locate(xs, ys) { x = xs; y = ys; },
    paint(look, background, ring) {
      const { rows } = drawingOrder(look, x.length);
      const bytes = new ArrayBuffer(12 * rows.length);
      const floats = new Float32Array(bytes), eights = new Uint8Array(bytes);
      for (let k = 0; k < rows.length; k++) {
        const row = rows[k], dim = look[4 * row + 3] === DIM;
        floats[3 * k] = x[row];
        floats[3 * k + 1] = y[row];
        for (let c = 0; c < 3; c++) {
          eights[12 * k + 8 + c] = dim ? blend(look[4 * row + c], background[c], DIMMED) : look[4 * row + c];
        }
        eights[12 * k + 11] = look[4 * row + 3];
      }
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
      count = rows.length;
      rim = ring;
    },
    draw(camera, size) {
      const ratio = canvas.width / camera.width;
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (!count) return;
      const [sx, sy] = [2 * camera.scale / camera.width, 2 * camera.scale / camera.height];
      gl.uniform4f(where.view, sx, sy, -camera.x * sx, -camera.y * sy);
      gl.uniform1f(where.size, size * ratio);
      gl.uniform3f(where.ring, rim[0] / 255, rim[1] / 255, rim[2] / 255);
      gl.drawArrays(gl.POINTS, 0, count);
    },
    free() {
      canvas.removeEventListener("webglcontextlost", onLost);
      canvas.removeEventListener("webglcontextrestored", onBack);
      gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}

function byHand(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  let x = null, y = null, xs = new Float32Array(0), ys = xs, colours = new Uint32Array(0), chosen = 0;
  let image = null, pixels = null, backdrop = 0xffffffff, rim = 0xff000000, margin = 0;
  const packed = (r, g, b) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0; // every browser's machine is little-endian

  function room(width, height, wide) {
    if (image && image.width === width + 2 * wide && image.height === height + 2 * wide) return;
    margin = wide;
    image = new ImageData(width + 2 * wide, height + 2 * wide);
    pixels = new Uint32Array(image.data.buffer);
  }

  function stamp(from, to, view, diameter, ring) {
    const wide = image.width, disc = discOf(diameter, wide, ring);
    const { core, rims, edge, shares } = disc, half = margin + (diameter % 2 ? 0 : 0.5); // even: its middle is a corner
    const left = -disc.reach, right = wide - 2 * margin + disc.reach;
    const top = -disc.reach, bottom = image.height - 2 * margin + disc.reach;
    for (let i = from; i < to; i++) {
      const px = xs[i] * view.sx + view.ox, py = ys[i] * view.sy + view.oy;
      if (!(px > left && px < right && py > top && py < bottom)) continue;
      const at = ((py + half) | 0) * wide + ((px + half) | 0), colour = colours[i];
      for (let k = 0; k < core.length; k++) pixels[at + core[k]] = colour;
      for (let k = 0; k < rims.length; k++) pixels[at + rims[k]] = rim;
      const own = ring ? rim : colour;
      for (let k = 0; k < edge.length; k++) pixels[at + edge[k]] = mixed(pixels[at + edge[k]], own, shares[k]);
    }
  }

  return {
    kind: "2d",
    locate(a, b) { x = a; y = b; },
    paint(look, background, ring) {
      const order = drawingOrder(look, x.length), rows = order.rows;
      xs = new Float32Array(rows.length);
      ys = new Float32Array(rows.length);
      colours = new Uint32Array(rows.length);
      for (let k = 0; k < rows.length; k++) {
        const row = rows[k], at = 4 * row, dim = look[at + 3] === DIM;
        xs[k] = x[row];
        ys[k] = y[row];
        const [r, g, b] = [look[at], look[at + 1], look[at + 2]];
        colours[k] = dim
          ? packed(blend(r, background[0], DIMMED), blend(g, background[1], DIMMED), blend(b, background[2], DIMMED))
          : packed(r, g, b);
      }
      chosen = order.chosen;
      backdrop = packed(...background);
      rim = packed(...ring);
    },
    draw(camera, size) {
      const ratio = canvas.width / camera.width, plain = Math.max(2, Math.round(size * ratio));
      const large = plain + Math.max(4, Math.round(plain / 2));
      room(canvas.width, canvas.height, 64);
      pixels.fill(backdrop);
      const s = camera.scale * ratio;
      const view = { sx: s, sy: -s, ox: canvas.width / 2 - camera.x * s, oy: canvas.height / 2 + camera.y * s };
      stamp(0, chosen, view, plain, false);
      stamp(chosen, xs.length, view, large, true);
      context.putImageData(image, -margin, -margin);
    },
    free() { image = pixels = null; },
  };
}

/**
 * Steps in a picture of `wide` pixels a row from the middle of a disc to its inside, its rim and its half covered edge.
 * The smallest, of which there are most, have no edge: mixing colours takes longer than all else.
 */
function discOf(diameter, wide, ring) {
  const radius = diameter / 2, reach = Math.ceil(radius) + 1;
  const core = [], rims = [], edge = [], shares = [];
  const middle = diameter % 2 ? 0 : 0.5;
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const covered = radius - Math.hypot(dx + middle, dy + middle) + 0.5, step = dy * wide + dx;
      if (covered >= (diameter < 4 ? 0.6 : 0.95)) (ring && covered < 2.5 ? rims : core).push(step);
      else if (covered > 0.05 && diameter > 3) { edge.push(step); shares.push(Math.round(256 * covered)); }
    }
  }
  return { core, rims, edge, shares, reach };
}

function mixed(below, above, share) {
  const rest = 256 - share;
  const odd = (((below & 0xff00ff) * rest + (above & 0xff00ff) * share) >>> 8) & 0xff00ff;
  const even = ((((below >>> 8) & 0xff) * rest + ((above >>> 8) & 0xff) * share) & 0xff00);
  return (0xff000000 | odd | even) >>> 0;
}
