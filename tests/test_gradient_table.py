"""The table of gradients: nothing is forgotten in it, and what it says fails where a gradient is wrong."""

import json
from dataclasses import replace
from inspect import getmembers, isfunction
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest

import diffrender as dr
from benchmarks.gradient_outputs import MODES, outputs
from benchmarks.gradient_scenes import facts, scenes
from benchmarks.gradient_settings import settings
from benchmarks.gradient_table import blanks, failures, measure
from diffrender import antialiasing, fragments, interpolation, loss, regularize, symmetry
from diffrender.batches import BatchGradients
from diffrender.outputs import Derived

ROOT = Path(__file__).resolve().parents[1]
AGAIN = "run python -m benchmarks.gradient_table again"
ROWS = {output.name: output for output in outputs()}
SCENES = scenes()
CROSSING = [scene for scene in SCENES if scene.name == "crossing"]
# A row of each kernel; the others go the same ways.
SOME = [
    "silhouette",
    "Lights: all, flat",
    "trilinear, clamp",
    "trilinear, clamp, hard",
    "normals_camera",
    "Brown-Conrady, depth",
    "color, 5 channels, perspective correct",
]


@pytest.fixture(autouse=True)
def one_thread():
    before = dr.get_num_threads()
    dr.set_num_threads(1)
    yield
    dr.set_num_threads(before)


def gradient_fields(kind, prefix=""):
    """Return the names of all gradients that a NamedTuple holds, those of other ones in it too."""
    if get_origin(kind) is BatchGradients:
        return set()  # test_batch.py: a view's gradients have the bits of a single call's
    if get_origin(kind) in (Union, UnionType):
        return set().union(*(gradient_fields(part, prefix) for part in get_args(kind)))
    if not hasattr(kind, "_fields"):
        return set() if kind is type(None) else {prefix.removesuffix(".")}
    return set().union(*(gradient_fields(part, f"{prefix}{name}.") for name, part in get_type_hints(kind).items()))


class OnHost(dict):
    """Names of what hints speak of: of arrays of a device, that of the host's, which has the same gradients."""

    def __missing__(self, name):
        for module in (antialiasing, fragments, interpolation):
            if hasattr(module, name.removeprefix("Device")):
                return getattr(module, name.removeprefix("Device"))
        raise KeyError(name)


def drawing_calls():
    """Return the public functions whose result has a backward, with that of its gradients' type."""
    for name in dr.__all__:
        function = getattr(dr, name)
        result = get_type_hints(function, localns=OnHost()).get("return") if isfunction(function) else None
        if hasattr(result, "backward"):
            yield name, get_type_hints(result.backward)["return"]


def test_every_public_output_and_gradient_has_a_cell():
    calls = dict(drawing_calls())
    assert len(calls) >= 4
    for call, gradients in calls.items():
        rows = [row for row in ROWS.values() if row.call == call]
        assert rows, f"dr.{call} has no row"
        inputs = set().union(*(row.inputs(SCENES[0]) for row in rows))
        missing = gradient_fields(gradients) - inputs - {"vertices_pixel"}  # the rasterizer's name of its vertices
        assert not missing, f"the gradients of dr.{call} have no cell for {missing}"
    assert set(get_args(Derived)) <= set(ROWS)


def test_every_loss_and_prior_has_a_row():
    for module in (loss, regularize, symmetry):
        for name, function in getmembers(module, isfunction):
            result = get_args(get_type_hints(function).get("return"))
            if function.__module__ == module.__name__ and not name.startswith("_") and result[:1] == (float,):
                assert any(row.call == name for row in ROWS.values()), f"{name} has no row"


def test_every_switch_of_the_rasterizer_is_tried_in_all_its_positions():
    for name, kind in get_type_hints(dr.Soft).items():
        positions = {False, True} if kind is bool else set(get_args(kind)) if get_origin(kind) is Literal else set()
        tried = {getattr(mode.settings(dr.Soft()), name, None) for mode in MODES}
        assert positions <= tried, f"Soft.{name} has positions without a mode: {positions - tried}"


def test_the_page_has_all_cells_and_all_passed():
    table = json.loads((ROOT / "benchmarks/results/gradient-table.json").read_text())
    page = (ROOT / "docs/gradients.md").read_text()
    found = {(cell["output"], cell["input"]) for cell in table["cells"]}
    assert found == {(name, value) for name, row in ROWS.items() for value in row.inputs(SCENES[0])}, AGAIN
    empty = {(blank["output"], value) for blank in table["blanks"] for value in blank["inputs"]}
    assert empty == {(name, value) for name, row in ROWS.items() for value in row.blanks}, AGAIN
    assert all(f"| {name} | " in page for name in ROWS), AGAIN
    for cell in table["cells"]:
        assert cell["error"] <= 1e-5 and cell["cosine"] >= 0.99999 and abs(cell["bias"]) <= 1e-5, cell
        assert cell["kept"] >= 0.9 * cell["tried"] > 0, cell
    assert {setting["name"] for setting in table["settings"]} == {setting.name for setting in settings(SCENES[:1])}, (
        AGAIN
    )


def test_scenes_have_what_they_are_for():
    found = {scene.name: facts(scene) for scene in SCENES}
    assert found["overlapping"]["layers"] >= 6
    assert found["grazing"]["grazing"] >= 12
    assert found["crossing"]["cut"] >= 6
    assert found["off screen"]["leaving"] >= 10 and found["off screen"]["beside"] >= 5
    assert min(fact["asymmetry"] for fact in found.values()) > 0.8


@pytest.mark.parametrize("name", SOME)
def test_cells_pass(name):
    cells = measure(ROWS[name], CROSSING, directions=3)
    assert cells and not failures(cells)
    assert {blank.input for blank in blanks(ROWS[name], CROSSING)} == set(ROWS[name].blanks)


def test_a_gradient_that_is_slightly_wrong_fails():
    row = ROWS["silhouette"]

    def longer(scene, values):
        alpha, backward = row.draw(scene, values)
        return alpha, lambda grad: {
            name: 1.00003 * value for name, value in backward(grad).items() if value is not None
        }

    cells = measure(replace(row, draw=longer), CROSSING, directions=3)
    assert len(failures(cells)) == len(cells) == 4
    assert all(cell.bias == pytest.approx(3e-5, rel=1e-2) for cell in cells)


def test_reasons_that_are_not_true_are_refused():
    row = ROWS["vertex colours"]
    given, without = row.inputs, {"vertex_colors": "they are not seen"}

    def inputs(scene):
        return {name: value for name, value in given(scene).items() if name != "vertex_colors"}

    def colors(scene):
        return {"vertex_colors": given(scene)["vertex_colors"]}

    wrong = replace(row, inputs=inputs, blanks=row.blanks | without, unfelt=colors)
    with pytest.raises(
        ValueError, match="vertex colours has a gradient for vertex_colors in crossing, but no such cell"
    ):
        blanks(wrong, CROSSING)

    def silent(scene, values):
        image, backward = row.draw(scene, values)
        return image, lambda grad: backward(grad) | {"vertex_colors": None}

    with pytest.raises(ValueError, match="vertex colours depends on vertex_colors in crossing"):
        blanks(replace(wrong, draw=silent), CROSSING)
    with pytest.raises(ValueError, match="each column is an input or a blank of vertex colours"):
        blanks(replace(row, blanks={}), CROSSING)
