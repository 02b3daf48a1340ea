"""A texture on its way OBJ, fit to renders of another texture, GLB, and into a browser: is what three.js shows what was fitted?

npm install three && pip install playwright, and a Chromium:
python -m benchmarks.browser --three node_modules/three --chromium /usr/bin/chromium --out FOLDER
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import diffrender as dr
from diffrender.color import srgb_to_linear, to_bytes
from diffrender.loss import psnr_db
from diffrender.mesh_files.picture import decode
from diffrender.record.picture import BACKDROP, picture, save_image

from .environment import announce, save

_SIZE = (240, 320)  # px
_SAMPLES = 3  # along a side of a pixel: the browser draws so much larger
_ORIGIN = "http://diffrender.invalid/"  # every request to it is answered from files
_SHOWN = (
    (0, 15),
    (60, -25),
    (120, 40),
    (180, 0),
    (240, 60),
    (300, -60),
)  # degrees around and above; no photo is from there
_PAGE = """<!doctype html>
<body style="margin:0"><canvas id="canvas" style="display:block"></canvas>
<script type="importmap">{"imports": {"three": "./build/three.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "./examples/jsm/loaders/GLTFLoader.js";
const renderer = new THREE.WebGLRenderer({ canvas: document.getElementById("canvas"), preserveDrawingBuffer: true });
const gltf = await new GLTFLoader().loadAsync("./mesh.glb");
const scene = new THREE.Scene();
// The file's own material in a light from everywhere, as strong as a Lambert surface divides by; or its colours alone.
const lit = [], plain = [];
gltf.scene.traverse(part => { if (part.isMesh) lit.push(part.material); });
for (const { map, side } of lit) plain.push(new THREE.MeshBasicMaterial({ map, side }));
scene.add(gltf.scene, new THREE.AmbientLight(0xffffff, Math.PI));
window.show = ({ width, height, view, projection, backdrop, unlit }) => {
  let number = 0;
  gltf.scene.traverse(part => { if (part.isMesh) part.material = (unlit ? plain : lit)[number++]; });
  renderer.setSize(width, height);
  scene.background = new THREE.Color().setRGB(...backdrop, THREE.SRGBColorSpace);
  const camera = new THREE.PerspectiveCamera();
  camera.matrixAutoUpdate = false;
  camera.matrix.set(...view).invert();
  camera.matrixWorldNeedsUpdate = true;
  camera.projectionMatrix.set(...projection);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  renderer.render(scene, camera);
};
window.ready = true;
</script>"""


def vase() -> dr.Mesh:
    """Return a surface of revolution with a belly to one side, open above, whose texture meets itself in a seam."""
    around, up = 48, 32
    turn, height = np.meshgrid(np.linspace(0, 2 * np.pi, around + 1), np.linspace(0, 1, up + 1))
    radius = 0.5 + 0.22 * np.sin(2.6 * np.pi * height) + 0.06 * np.cos(turn) * np.sin(np.pi * height)
    # Seen from outside u grows to the right, and v, row by row of the image, downwards.
    points = np.stack([radius * np.sin(turn), 1.8 * height - 0.9, radius * np.cos(turn)], axis=-1)
    uv = np.stack([turn / (2 * np.pi), 1 - height], axis=-1)
    row, column = np.divmod(np.arange(up * around), around)
    low, next_low = row * around + column, row * around + (column + 1) % around
    place = row * (around + 1) + column
    corners = np.stack([low, next_low, next_low + around, low, next_low + around, low + around], axis=1)
    places = np.stack([place, place + 1, place + around + 2, place, place + around + 2, place + around + 1], axis=1)
    vertices = points[:, :around].reshape(-1, 3).astype(np.float32)
    return dr.Mesh(vertices, corners.reshape(-1, 3), uv=uv.reshape(-1, 2), faces_uv=places.reshape(-1, 3))


def lettered(side: int = 512) -> dr.Texture:
    """Return letters with arrows above them that point up, each square of another colour: what is flipped shows."""
    sheet = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(sheet)
    cell = side // 4
    font = ImageFont.load_default(0.6 * cell)
    for number in range(16):
        y, x = (cell * place for place in divmod(number, 4))
        hue = np.array([np.sin(1.9 * number + shift) for shift in (0, 2, 4)])
        draw.rectangle((x, y, x + cell, y + cell), tuple(np.rint(150 + 70 * hue).astype(int).tolist()))
        draw.rectangle((x, y, x + cell, y + cell), outline=(30, 30, 30), width=3)
        draw.text((x + 0.5 * cell, y + 0.6 * cell), chr(ord("A") + number), (20, 20, 60), font, "mm")
        draw.polygon(
            [(x + s * cell, y + t * cell) for s, t in ((0.5, 0.08), (0.4, 0.24), (0.6, 0.24))], (255, 255, 255)
        )
    return dr.Texture(srgb_to_linear(np.asarray(sheet, np.float32) / 255))


def checked(side: int = 512) -> dr.Texture:
    """Return grey squares: the texture that the fit begins with."""
    row, column = np.mgrid[:side, :side] // 32
    return dr.Texture(np.repeat(0.2 + 0.3 * ((row + column) % 2)[..., None], 3, axis=2).astype(np.float32))


def camera_at(azimuth: float, elevation: float) -> dr.Camera:
    """Return a camera that looks at the middle, from so many degrees around it and above."""
    a, e = np.radians([azimuth, elevation])
    eye = 4 * np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    return dr.Camera.look_at(eye, fov_degrees=38, size=_SIZE)


def write_photos(mesh: dr.Mesh, folder: Path) -> None:
    """Write renders as a NeRF folder: the transparency is the mask."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, (azimuth, elevation) in enumerate(
        (azimuth + 20 * (elevation > 0), elevation) for elevation in (-40, 5, 50) for azimuth in range(0, 360, 45)
    ):
        camera = camera_at(azimuth, elevation)
        save_image(picture(mesh, camera, backdrop=None), folder / f"{number:02}.png")
        pose, K = camera.to_nerf()
        lens = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
        frames.append({"file_path": f"{number:02}.png", **lens, "transform_matrix": pose.tolist()})
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))


def screenshots(
    glb: Path, cameras: list[dr.Camera], three: Path, chromium: str | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what three.js shows of a file from each camera, sRGB (H, W, 3) uint8, lit from everywhere and unlit.

    Each pixel is the mean of several in linear light, as in `picture`.

    Raises RuntimeError with what the page says if it cannot load the file.
    """
    from playwright.sync_api import Route, sync_playwright

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(_ORIGIN).partition("?")[0]
        if not name:
            route.fulfill(body=_PAGE, content_type="text/html")
            return
        file = glb if name == "mesh.glb" else three / name
        if not file.is_file():
            route.fulfill(status=404)
            return
        route.fulfill(body=file.read_bytes(), content_type="text/javascript" if file.suffix == ".js" else None)

    height, width = (length * _SAMPLES for length in _SIZE)
    pictures = []
    with sync_playwright() as playwright:
        # Without a GPU WebGL is drawn by the processor, which newer versions ask to be told.
        flags = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": width, "height": height})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.route("**/*", answer)
        page.goto(_ORIGIN)
        try:
            page.wait_for_function("window.ready")
        except Exception as error:
            raise RuntimeError(f"three.js could not show {glb}: {said}") from error
        for camera in cameras:
            view, projection = camera.to_opengl(0.1, 20)
            scene: dict[str, Any] = {"width": width, "height": height, "backdrop": BACKDROP}
            scene |= {"view": view.ravel().tolist(), "projection": projection.ravel().tolist()}
            both = []
            for unlit in (False, True):
                page.evaluate("scene => window.show(scene)", scene | {"unlit": unlit})
                shot = decode(page.screenshot(), "screenshot")
                mean = shot.reshape(_SIZE[0], _SAMPLES, _SIZE[1], _SAMPLES, 3).mean(axis=(1, 3))
                both.append(to_bytes(mean))
            pictures.append((both[0], both[1]))
        browser.close()
    return pictures


def main() -> None:
    """Fit, show, compare, and write the pictures and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--three", type=Path, required=True, help="three.js: the folder with build and examples")
    parser.add_argument("--chromium", help="the browser; without it the one that playwright has installed")
    parser.add_argument("--out", type=Path, required=True, help="folder for the photos, the run and the pictures")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    shape, out = vase(), options.out
    truth = dr.Mesh(shape.vertices, shape.faces, uv=shape.uv, faces_uv=shape.faces_uv, texture=lettered())
    write_photos(truth, out / "photos")
    start = dr.Mesh(shape.vertices, shape.faces, uv=shape.uv, faces_uv=shape.faces_uv, texture=checked())
    start.save(out / "start.obj")
    command = [sys.executable, "-m", "diffrender.cli.main", "fit", str(out / "photos"), "--out", str(out / "run")]
    subprocess.run([*command, "--mesh", str(out / "start.obj"), "--hold-shape"], check=True)

    cameras = [camera_at(*side) for side in _SHOWN]
    shots = screenshots(out / "run" / "mesh.glb", cameras, options.three, options.chromium)
    fitted = dr.load_mesh(out / "run" / "mesh.glb")
    rows, panels = [], []
    for side, camera, (lit, unlit) in zip(_SHOWN, cameras, shots, strict=True):
        ours, wanted = (picture(mesh, camera) for mesh in (fitted, truth))
        inside = np.any(ours != ours[0, 0], axis=2)
        difference = np.abs(unlit.astype(float) - ours)
        row: dict[str, Any] = {"side": side, "lit": float(np.abs(lit.astype(float) - ours)[inside].mean())}
        row |= {
            "unlit": float(difference[inside].mean()),
            "over_16": float((difference.max(axis=2) > 16)[inside].mean()),
        }
        shown, true = (srgb_to_linear(one.astype(np.float32) / 255) for one in (unlit, wanted))
        rows.append(row | {"psnr_db": psnr_db(shown, true, inside)})
        panels.append(np.vstack([wanted, ours, lit, np.clip(255 - 8 * difference, 0, 255).astype(np.uint8)]))
    save_image(np.hstack(panels), out / "browser.png")
    print("| degrees around, above | lit, mean of 255 | unlit, mean of 255 | off by more than 16 | to the truth |")
    print("|" + " --- |" * 5)
    for row in rows:
        around, above = row["side"]
        print(
            f"| {around}, {above} | {row['lit']:.2f} | {row['unlit']:.2f} | {row['over_16']:.2%} | {row['psnr_db']:.1f} dB |"
        )
    print(f"{out / 'browser.png'}: truth, our render, the browser's lit, 8 times what differs unlit")
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
