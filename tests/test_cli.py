"""The command line through its real entry point, in processes of their own where that matters."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from diffrender.cli import main as cli
from diffrender.cli.progress import progress
from meshes import bumpy, disc_view
from PIL import Image

from diffrender.color import to_bytes
from diffrender.mesh_files.load import load_mesh

ENTRY = [str(Path(sys.executable).with_name("diffrender"))]
FAST = ["--steps", "24", "--faces", "800", "--resolution", "48"]
RESULTS = ("mesh.glb", "fit.gif", "mask.png", "settings.json")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "disc.png"
    Image.fromarray(to_bytes(disc_view().image)).save(path)
    return path


def run(monkeypatch, capsys, *arguments):
    """Run the command in this process; return its exit status, output and errors."""
    monkeypatch.setattr(sys, "argv", ["diffrender", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_fit_writes_everything_and_resume_of_a_finished_run_changes_nothing(tmp_path, photo, monkeypatch, capsys):
    out = tmp_path / "run"
    status, printed, errors = run(monkeypatch, capsys, "fit", photo, "--out", out, *FAST)
    assert (status, errors) == (0, "")
    assert "silhouette_iou" in printed and "plain background" in printed
    names = {path.name for path in out.iterdir()}
    assert names == {*RESULTS, "metrics.json", "checkpoint.npz", "log.jsonl"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["silhouette_iou"] > 0.9 and metrics["psnr_db"] > 15
    assert metrics["steps"] == 24 and metrics["flipped_faces"] == 0 and metrics["closed"]
    assert {"seconds", "faces"} <= set(metrics)
    with Image.open(out / "fit.gif") as gif:
        assert gif.n_frames > 40 and gif.width > 2 * gif.height
    before = {name: (out / name).read_bytes() for name in RESULTS}
    status, printed, _ = run(monkeypatch, capsys, "fit", photo, "--out", out, "--resume")
    assert status == 0 and "resuming after step 24 of 24" in printed
    assert {name: (out / name).read_bytes() for name in RESULTS} == before


def test_fit_gives_the_mesh_a_texture(tmp_path, photo, monkeypatch, capsys):
    monkeypatch.setattr("diffrender.record.run._FACES_OF_A_PICTURE", 2000)
    out = tmp_path / "run"
    assert run(monkeypatch, capsys, "fit", photo, "--out", out, *FAST, "--texture", "128")[::2] == (0, "")
    assert load_mesh(out / "mesh.glb").texture.image.shape == (128, 128, 3)
    status, _, errors = run(monkeypatch, capsys, "fit", photo, "--out", out, "--resume", "--texture", "10000")
    assert status == 1 and "a texture's size must be from 16 to 8,192 px, got 10000" in errors


def start(photo, out, *more):
    command = [*ENTRY, "fit", str(photo), "--out", str(out), *SLOW, *more]
    # What a shell starts in the background ignores Ctrl-C, and hands that down.
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts)


def hear_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


SLOW = ["--steps", "300", "--faces", "3000", "--resolution", "60"]


def wait_for(path, process):
    for _ in range(1200):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.02)


def finished(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_and_an_interrupted_fit_resume_to_the_bits_of_an_unbroken_one(tmp_path, photo):
    whole, killed, stopped = (tmp_path / name for name in ("whole", "killed", "stopped"))
    assert start(photo, whole).wait() == 0

    process = start(photo, killed)
    wait_for(killed / "checkpoint.npz", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "mesh.glb").exists()
    assert start(photo, killed, "--resume").wait() == 0
    assert finished(killed) == finished(whole)

    process = start(photo, stopped)
    wait_for(stopped / "checkpoint.npz", process)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert "interrupted after step" in process.stderr.read()
    kept = json.loads((stopped / "metrics.json").read_text())
    assert 20 <= kept["steps"] < 300 and (stopped / "fit.gif").exists() and (stopped / "mesh.glb").exists()
    assert start(photo, stopped, "--resume").wait() == 0
    assert finished(stopped) == finished(whole)


def test_resume_refuses_what_would_not_be_the_same_run(tmp_path, photo, monkeypatch, capsys):
    out = tmp_path / "run"
    assert run(monkeypatch, capsys, "fit", photo, "--out", out, "--resume", *FAST)[0] == 0  # nothing yet: it starts
    other = tmp_path / "other.png"
    Image.fromarray(to_bytes(disc_view(radius=9).image)).save(other)
    for arguments, message in (
        (["fit", other], "not the photo that the run"),
        (["fit", photo, "--steps", "30"], "--steps 30 cannot be given with --resume: the run has 24"),
        (["fit", photo, "--mask", photo], "--mask cannot be given with --resume"),
        (["fit", photo, "--mesh", "sphere"], "--mesh sphere cannot be given with --resume: the run started from None"),
    ):
        status, _, errors = run(monkeypatch, capsys, *arguments, "--out", out, "--resume")
        assert status == 1 and message in errors and errors.count("\n") == 1
    for name, damaged, message in (
        ("checkpoint.npz", b"PK", "not a checkpoint of diffrender"),
        ("mask.png", b"?", "the run's mask cannot be read"),
        ("settings.json", b"{", "not the settings of a run"),
    ):
        (out / name).write_bytes(damaged)
        status, _, errors = run(monkeypatch, capsys, "fit", photo, "--out", out, "--resume")
        assert status == 1 and message in errors


def test_render_and_gif(tmp_path, monkeypatch, capsys):
    bumpy(2, np.float32).save(tmp_path / "mesh.glb")
    status, printed, _ = run(
        monkeypatch, capsys, "render", tmp_path / "mesh.glb", "--out", tmp_path / "a.png", "--size", "60x40"
    )
    assert status == 0 and "wrote" in printed
    plain = np.asarray(Image.open(tmp_path / "a.png"))
    assert plain.shape == (40, 60, 3) and np.ptp(plain[20, 30]) > 5
    for name, more in {
        "b.png": ["--background", "transparent", "--light", "none"],
        "c.jpg": ["--light", "0,1,0", "--azimuth", "90", "--elevation", "40", "--fov", "20", "--background", "black"],
    }.items():
        arguments = ["render", tmp_path / "mesh.glb", "--out", tmp_path / name, "--size", "60x40", *more]
        assert run(monkeypatch, capsys, *arguments)[0] == 0
    cut_out = np.asarray(Image.open(tmp_path / "b.png"))
    assert cut_out.shape == (40, 60, 4) and cut_out[0, 0, 3] == 0 and cut_out[20, 30, 3] == 255
    assert np.asarray(Image.open(tmp_path / "c.jpg"))[0, 0].max() < 12
    for source in (tmp_path / "mesh.glb", tmp_path):
        arguments = ["gif", source, "--out", tmp_path / "turn.gif", "--size", "40x30", "--frames", "6"]
        assert run(monkeypatch, capsys, *arguments)[0] == 0
        assert Image.open(tmp_path / "turn.gif").n_frames == 6


def test_mask_command(tmp_path, photo, monkeypatch, capsys):
    status, printed, _ = run(monkeypatch, capsys, "mask", photo, "--out", tmp_path / "mask.png")
    assert status == 0 and "from its background" in printed
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")) > 127, disc_view().mask > 0.5)


def test_a_given_mask_is_used(tmp_path, photo, monkeypatch, capsys):
    square = np.zeros((48, 60), np.uint8)
    square[14:34, 20:40] = 255
    Image.fromarray(square).save(tmp_path / "square.png")
    arguments = ["fit", photo, "--out", tmp_path / "run", "--mask", tmp_path / "square.png", *FAST]
    assert run(monkeypatch, capsys, *arguments)[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "run" / "mask.png")), square)


def test_mistakes_end_in_one_line_and_status_1(tmp_path, photo, monkeypatch, capsys):
    (tmp_path / "bad.glb").write_bytes(b"no")
    bumpy().save(tmp_path / "good.glb")
    Image.new("L", (9, 9)).save(tmp_path / "small.png")
    good = tmp_path / "good.glb"
    for arguments, message in (
        (["fit", tmp_path / "none.jpg", "--out", tmp_path / "x"], "none.jpg: no such file"),
        (["fit", photo, "--out", tmp_path / "x", "--mesh", tmp_path / "bad.glb"], "bad.glb: not a readable mesh"),
        (["fit", photo, "--out", tmp_path / "x", "--mesh", "cube"], "cube: cannot read meshes of this kind"),
        (
            ["fit", photo, "--out", tmp_path / "x", "--mask", tmp_path / "small.png"],
            "9x9 px, but the photo is 60x48 px",
        ),
        (["fit", photo, "--out", tmp_path / "x", "--thickness", "-1"], "thickness must be finite and >= 0, got -1"),
        (["fit", photo, "--out", photo / "x"], "Not a directory"),
        (["mask", photo, "--out", tmp_path / "m.jpg"], "--out must end in .png"),
        (["render", good, "--out", tmp_path / "a.png", "--size", "big"], "--size must be WIDTHxHEIGHT in px"),
        (["render", good, "--out", tmp_path / "a.png", "--light", "1,2"], "--light must be 3 numbers"),
        (["render", good, "--out", tmp_path / "a.png", "--background", "blurple"], "got 'blurple'"),
        (["render", good, "--out", tmp_path / "a.xyz"], "a.xyz: cannot write an image of this kind"),
        (["render", good, "--out", tmp_path / "no" / "a.png"], "No such file or directory"),
        (["render", good, "--out", tmp_path / "a.jpg", "--background", "transparent"], "no transparency"),
        (["gif", good, "--out", tmp_path / "a.mp4"], "--out must end in .gif"),
        (["gif", tmp_path / "no", "--out", tmp_path / "a.gif"], "cannot read meshes of this kind"),
    ):
        status, _, errors = run(monkeypatch, capsys, *arguments)
        assert status == 1, arguments
        assert errors.startswith("diffrender: error: ") and errors.count("\n") == 1, errors
        assert message in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.glb", "good.glb", "small.png"]


def test_a_full_disk_leaves_the_old_image(tmp_path, monkeypatch, capsys):
    bumpy().save(tmp_path / "good.glb")
    (tmp_path / "a.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffrender.files.os.fsync", full)
    status, _, errors = run(
        monkeypatch, capsys, "render", tmp_path / "good.glb", "--out", tmp_path / "a.png", "--size", "20x20"
    )
    assert status == 1 and "No space left on device" in errors
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_installed_command_tells_its_version_and_helps():
    version = subprocess.run([*ENTRY, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("diffrender 0.")
    for command in ([], ["fit"], ["render"], ["gif"], ["mask"], ["eval"], ["convert"], ["gradcheck"]):
        printed = subprocess.run([*ENTRY, *command, "--help"], capture_output=True, text=True, check=True).stdout
        assert ("Usage:" in printed and "Example" in printed) or not command


def test_help_and_import_are_light():
    code = (
        "import sys, diffrender; from diffrender.cli import main;"
        "heavy = {'numba', 'trimesh', 'scipy', 'cv2', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_hides_a_public_function():
    code = (
        "import diffrender as dr, importlib, pkgutil;"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(dr.__path__, 'diffrender.') if '.cli' not in m.name];"
        "assert all(not hasattr(getattr(dr, n), '__path__') and type(getattr(dr, n)).__name__ != 'module' for n in dr.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doctor_says_what_works_and_what_mends_the_rest(monkeypatch, capsys):
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    from diffrender.cuda import diagnosis, driver

    missing = driver.Driver(None, (), "no NVIDIA driver was found")
    monkeypatch.setattr(driver, "query_driver", lambda: missing)
    monkeypatch.setattr(diagnosis, "query_driver", lambda: missing)
    diagnosis.diagnose.cache_clear()
    status, printed, errors = run(monkeypatch, capsys, "doctor")
    diagnosis.diagnose.cache_clear()
    assert (status, errors) == (0, "")
    text = " ".join(printed.split())
    for part in ("numba 0.", "core", "can be written", "GPU none to use: no NVIDIA driver was found", "cpu works;"):
        assert part in text
    assert "cuda cannot be used: no NVIDIA driver was found. It takes an NVIDIA GPU with its driver" in text


def test_doctor_fails_if_the_cpu_does_not_work(monkeypatch, capsys):
    from diffrender import selfcheck

    def fail(*_):
        raise OSError("\nlibm is gone\n")

    monkeypatch.setattr(selfcheck, "check_backend", fail)
    status, printed, _ = run(monkeypatch, capsys, "doctor")
    assert status == 1 and "does NOT work: OSError: libm is gone. Reinstall with: pip install" in " ".join(
        printed.split()
    )


@pytest.mark.parametrize(
    "command", [["render", "assets/duck.glb", "--out", "x.png"], ["gif", "assets/duck.glb", "--out", "x.gif"]]
)
def test_a_backend_that_cannot_be_used_is_one_line(command, monkeypatch, capsys):
    from diffrender.cuda import diagnosis

    found = diagnosis.Diagnosis(False, False, "no NVIDIA driver was found", "get one")
    monkeypatch.setattr(diagnosis, "diagnose", lambda: found)
    status, _, errors = run(monkeypatch, capsys, *command, "--backend", "cuda")
    assert status == 1
    assert errors == "diffrender: error: backend 'cuda' cannot be used: no NVIDIA driver was found; get one\n"
    assert not Path(command[-1]).exists()


def test_auto_draws_on_the_cpu_after_one_line(tmp_path, monkeypatch, capsys):
    from diffrender import backend
    from diffrender.cuda import diagnosis

    found = diagnosis.Diagnosis(False, False, "no NVIDIA driver was found")
    monkeypatch.setattr(diagnosis, "diagnose", lambda: found)
    monkeypatch.setattr(backend, "_warned", False)
    out = tmp_path / "duck.png"
    status, _, errors = run(
        monkeypatch, capsys, "render", "assets/duck.glb", "--out", out, "--size", "40x30", "--backend", "auto"
    )
    assert status == 0 and out.exists()
    assert errors == "diffrender: backend 'auto' uses the CPU: no NVIDIA driver was found\n"


def test_a_bar_whose_work_needed_fewer_steps_ends_full(capsys):
    with progress("fitting", 0) as report:
        report(SimpleNamespace(step=3, steps=10, loss=0.25))
    assert "10/10 loss 0.2500" in capsys.readouterr().out


def test_a_bar_that_is_interrupted_stays_where_it_was(capsys):
    with pytest.raises(KeyboardInterrupt), progress("fitting", 0) as report:
        report(SimpleNamespace(step=3, steps=10, loss=0.25))
        raise KeyboardInterrupt
    assert "3/10 loss 0.2500" in capsys.readouterr().out
