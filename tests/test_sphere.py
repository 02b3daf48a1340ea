import subprocess
import sys

import numpy as np
import pytest
import trimesh

import diffrender as dr


@pytest.mark.parametrize("subdivisions", [0, 1, 3])
def test_the_sphere_is_trimeshs(subdivisions):
    expected = trimesh.creation.icosphere(subdivisions, radius=1.5)
    sphere = dr.icosphere(subdivisions, radius=1.5)
    np.testing.assert_array_equal(sphere.faces, expected.faces)
    np.testing.assert_allclose(sphere.vertices, expected.vertices, rtol=0, atol=2e-7)
    assert expected.is_watertight and expected.volume > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "subdivisions must be an integer >= 0, got -1"),
        ((1.5,), "got 1.5"),
        ((1, 0.0), "radius must be positive"),
    ],
)
def test_a_sphere_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        dr.icosphere(*arguments)


def test_a_first_image_does_not_wait_for_trimesh():
    code = (
        "import sys; import diffrender as dr; dr.render(dr.icosphere(1), dr.Camera.look_at(eye=(0, 0, 4)));"
        "heavy = {'trimesh', 'networkx', 'PIL', 'cv2'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
