import hashlib
import os
import subprocess
import sys

import gymnasium
import mujoco
import numpy as np
import pytest

from envs import Camera, draw_lines

EYE_HEIGHT = 3.0  # m
TILE = 0.5  # m, side of a checker texture
SCENE = f"""
<mujoco>
  <asset>
    <texture name="checker" type="2d" builtin="checker" rgb1="0 0 0" rgb2="1 1 1" width="64" height="64"/>
    <material name="checker" texture="checker" texuniform="true" texrepeat="{1 / TILE} {1 / TILE}"/>
  </asset>
  <worldbody>
    <light pos="0 0 5" dir="0 0 -1" type="directional"/>
    <camera name="above" pos="0 0 {EYE_HEIGHT}"/>
    <camera name="aslant" pos="0.3 -2 1.5" xyaxes="1 0 0 0 0.6 0.8" fovy="70"/>
    <camera name="flat" pos="0 0 {EYE_HEIGHT}" projection="orthographic" fovy="2"/>
    <geom name="floor" type="plane" size="0 0 1" {{floor}}/>
    {{bodies}}
  </worldbody>
</mujoco>
"""
BALL = '<geom name="ball" type="sphere" pos="0 0 1" size="0.3" rgba="1 0 0 1"/>'
SHAPES = """
<geom name="sphere" type="sphere" pos="-0.8 0 0.3" size="0.15"/>
<geom name="box" type="box" pos="-0.4 0 0.3" size="0.1 0.1 0.1" euler="10 20 30"/>
<geom name="capsule" type="capsule" pos="0 0 0.3" size="0.08 0.1"/>
<geom name="cylinder" type="cylinder" pos="0.4 0 0.3" size="0.1 0.05"/>
<geom name="ellipsoid" type="ellipsoid" pos="0.8 0 0.3" size="0.15 0.1 0.05"/>
"""
SLIDER = '<body name="cart"><freejoint/><geom name="cart" type="box" size="0.1 0.1 0.1"/></body>'
GYMNASIUM_IDS = ["HalfCheetah-v5", "Reacher-v5", "Pusher-v5", "InvertedPendulum-v5"]
WITHOUT_GL = """
import hashlib, sys
from tests.test_camera import BALL, Camera, scene
model, data = scene(BALL)
print(hashlib.sha256(Camera(model, "aslant").render(data)).hexdigest())
assert not {"OpenGL", "glfw"} & set(sys.modules)
"""


def scene(bodies="", floor=""):
    model = mujoco.MjModel.from_xml_string(SCENE.format(bodies=bodies, floor=floor))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def gymnasium_scene(name):
    env = gymnasium.make(name)
    env.reset(seed=0)
    model, data, config = env.unwrapped.model, env.unwrapped.data, env.unwrapped.mujoco_renderer.default_cam_config
    return model, data, config


def test_ball_fills_the_middle_and_nothing_is_minus_one():
    model, data = scene(BALL)
    segment = Camera(model, "above", height=21, width=31).segment(data)
    assert segment[10, 15] == model.geom("ball").id
    assert segment[0, 0] == model.geom("floor").id
    sky = Camera(model, view={"elevation": 80, "lookat": [0, 0, 50]}).cast(data)
    missed = sky.geom_id == -1
    assert missed.any()
    assert np.isinf(sky.depth[missed]).all()
    assert np.isnan(sky.points[missed]).all()


@pytest.mark.parametrize("name", ["above", "aslant"])
def test_depth_is_along_the_axis_and_points_lie_on_the_floor(name):
    model, data = scene()
    image = Camera(model, name, height=24, width=32).cast(data)
    assert np.abs(image.points[..., 2]).max() < 1e-5
    assert np.allclose(image.normal, [0, 0, 1])
    back = data.camera(name).xmat.reshape(3, 3)[:, 2]
    assert np.allclose((data.camera(name).xpos - image.points) @ back, image.depth, atol=1e-5)
    assert name != "above" or np.allclose(image.depth, EYE_HEIGHT)


def test_every_pixel_agrees_with_a_single_ray():
    model, data = scene(SHAPES)
    image = Camera(model, "aslant", height=12, width=16).cast(data)
    pixel = 2 * np.tan(np.radians(model.camera("aslant").fovy[0]) / 2) / 12  # m, one metre away
    for row, column in np.ndindex(12, 16):
        geom_id = np.zeros(1, np.int32)
        ray = data.camera("aslant").xmat.reshape(3, 3) @ [(column - 7.5) * pixel, (5.5 - row) * pixel, -1]
        part = mujoco.mj_ray(model, data, data.camera("aslant").xpos, ray, None, 1, -1, geom_id)
        assert geom_id[0] == image.geom_id[row, column]
        assert part == pytest.approx(image.depth[row, column], rel=1e-5)


def test_centre_of_a_geom_projects_into_its_own_segment():
    model, data = scene(SHAPES)
    camera = Camera(model, "aslant", height=120, width=160)
    geoms = [model.geom(name).id for name in ("sphere", "box", "capsule", "cylinder", "ellipsoid")]
    pixels, visible = camera.project(data.geom_xpos[geoms], data)
    column, row = np.rint(pixels).astype(int).T
    assert visible.all()
    assert camera.segment(data)[row, column].tolist() == geoms


@pytest.mark.parametrize("view", [None, {"azimuth": 30, "elevation": -20, "distance": 3}])
def test_projecting_what_was_cast_gives_the_pixels_back(view):
    model, data = scene(SHAPES)
    camera = Camera(model, None if view else "aslant", height=20, width=30, view=view)
    image = camera.cast(data)
    hit = image.geom_id >= 0
    pixels, visible = camera.project(image.points[hit], data)
    assert visible.all()
    assert np.allclose(pixels, np.argwhere(hit)[:, ::-1], atol=1e-3)


def test_point_behind_the_camera_is_not_a_pixel():
    model, data = scene()
    pixels, visible = Camera(model, "above").project(np.array([[0.0, 0.0, EYE_HEIGHT + 1], [50.0, 0.0, 0.0]]), data)
    assert np.isnan(pixels[0]).all()
    assert np.isfinite(pixels[1]).all()
    assert not visible.any()


def test_same_data_give_the_same_bytes_without_a_graphics_library():
    model, data = scene(BALL)
    camera = Camera(model, "aslant")
    first = camera.render(data)
    assert first.tobytes() == camera.render(data).tobytes() == Camera(model, model.camera("aslant").id).render(data).tobytes()
    environment = {**os.environ, "MUJOCO_GL": "disable"}
    there = subprocess.run([sys.executable, "-c", WITHOUT_GL], capture_output=True, text=True, env=environment, check=False)
    assert there.returncode == 0, there.stderr
    assert there.stdout.strip() == hashlib.sha256(first).hexdigest()


def test_one_cast_serves_colours_mask_and_depth():
    model, data = scene(SHAPES)
    camera = Camera(model, "aslant", height=24, width=32)
    image = camera.cast(data)
    assert (camera.shade(image, data) == camera.render(data)).all()
    assert (image.geom_id == camera.segment(data)).all()
    assert (image.depth == camera.depth(data)).all()


def test_earlier_images_outlive_later_ones():
    model, data = scene(SLIDER)
    camera = Camera(model, "above", height=24, width=32)
    kept = [camera.render(data), *camera.cast(data)]
    copies = [array.copy() for array in kept]
    data.qpos[:3] = [0.3, 0.2, 1]
    mujoco.mj_forward(model, data)
    assert (camera.render(data) != copies[0]).any()
    camera.cast(data)
    assert all((array == copy).all() for array, copy in zip(kept, copies, strict=True))


@pytest.mark.parametrize("hidden", ['rgba="1 0 0 0"', 'group="3"'])
def test_transparent_geoms_and_hidden_groups_are_not_there(hidden):
    model, data = scene(f'<geom name="ghost" type="sphere" pos="0 0 1" size="0.3" {hidden}/>')
    assert (Camera(model, "above").segment(data) == model.geom("floor").id).all()


def test_checker_repeats_with_its_period_and_moves_between():
    model, data = scene(floor='material="checker"')
    camera = Camera(model, "above", height=32, width=32)
    start = camera.render(data)
    assert len(np.unique(start[..., 0])) >= 2
    model.camera("above").pos[0] += TILE / 2
    mujoco.mj_forward(model, data)
    assert (camera.render(data) != start).any()
    model.camera("above").pos[0] += TILE / 2
    mujoco.mj_forward(model, data)
    assert (camera.render(data) == start).mean() > 0.99


def test_shadows_only_darken_and_do_so_beneath_the_ball():
    model, data = scene(BALL)
    bright = Camera(model, "aslant").render(data).astype(int)
    camera = Camera(model, "aslant", shadows=True)
    dark = camera.render(data).astype(int)
    assert (dark <= bright).all()
    image = camera.cast(data)
    floor = image.geom_id == model.geom("floor").id
    away = np.hypot(image.points[..., 0], image.points[..., 1])
    assert (dark < bright)[floor & (away < 0.25)].all()
    assert (dark == bright)[floor & (away > 0.4)].all()


def test_spotlight_lights_its_cone_only():
    spot = f'<light type="spot" pos="0 0 {EYE_HEIGHT}" dir="0 0 -1" cutoff="10" exponent="0"/>'
    model, data = scene(spot)
    plain, plain_data = scene()
    image = Camera(model, "above").cast(data)
    gain = Camera(model, "above").render(data).astype(int) - Camera(plain, "above").render(plain_data)
    angle = np.degrees(np.arctan2(np.hypot(image.points[..., 0], image.points[..., 1]), EYE_HEIGHT))
    assert (gain[angle < 9.9] > 0).all()
    assert (gain[angle > 10.1] == 0).all()


def test_model_without_lights_shows_its_own_colours():
    model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom type="plane" size="9 9 1" rgba="0.2 0.4 0.6 1"/></worldbody></mujoco>')
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    picture = Camera(model, view={"elevation": -90, "distance": 2}).render(data)
    assert np.abs(picture.astype(int) - [51, 102, 153]).max() <= 1


def test_more_samples_change_edges_only():
    model, data = scene(BALL)
    once = Camera(model, "above", height=40, width=40).render(data).astype(int)
    often = Camera(model, "above", height=40, width=40, samples=3).render(data).astype(int)
    segment = Camera(model, "above", height=40, width=40).segment(data)
    floor = segment == model.geom("floor").id
    inner = np.all([np.roll(floor, shift, axis) for shift in (-1, 0, 1) for axis in (0, 1)], axis=0)
    assert (once[inner] == often[inner]).all()
    assert len(np.unique(often.reshape(-1, 3), axis=0)) > len(np.unique(once.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("name", GYMNASIUM_IDS)
def test_gymnasium_models_are_seen_with_their_own_views(name):
    model, data, config = gymnasium_scene(name)
    for view in (None, config):
        camera = Camera(model, height=120, width=160, view=view)
        assert camera.render(data).std() > 1
        moving = np.flatnonzero(model.body_weldid[model.geom_bodyid] > 0)
        assert np.isin(camera.segment(data), moving).any()


def test_tracked_body_stays_where_it_is_in_the_picture():
    model, data = scene(SLIDER)
    camera = Camera(model, view={"trackbodyid": model.body("cart").id, "lookat": np.array([7.0, 7.0, 0.5]), "distance": 4.0})
    before, _ = camera.project(data.body("cart").xpos[None], data)
    data.qpos[:2] = [20, -30]
    mujoco.mj_forward(model, data)
    after, visible = camera.project(data.body("cart").xpos[None], data)
    assert visible.all()
    assert np.allclose(before, after)
    assert before[0, 1] > camera.height / 2  # it stands below the height looked at


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"camera": "abov"}, r"Did you mean 'above'\?"),
        ({"camera": "nowhere at all"}, r"\['above', 'aslant', 'flat'\].*camera=None"),
        ({"camera": 3}, "got 3"),
        ({"camera": -1}, "got -1"),
        ({"camera": "flat"}, "orthographic"),
        ({"height": 0}, "`height` must be at least 1, got 0"),
        ({"samples": 0}, "`samples` must be at least 1, got 0"),
        ({"camera": "above", "view": {"distance": 2}}, "camera=None"),
        ({"view": {"zoom": 2}}, "got 'zoom'"),
        ({"view": {"trackbodyid": 9}}, "`trackbodyid` must be below 1"),
    ],
)
def test_what_cannot_be_seen_is_refused(arguments, message):
    model, _ = scene()
    with pytest.raises(ValueError, match=message):
        Camera(model, **arguments)


def test_lines_are_drawn_over_a_copy():
    image = np.zeros((5, 8, 3), np.uint8)
    drawn = draw_lines(image, np.array([[1.0, 2.0], [6.0, 2.0], [6.0, 4.0]]), (255, 128, 0))
    assert not image.any()
    expected = np.zeros((5, 8), bool)
    expected[2, 1:7] = expected[2:, 6] = True
    assert ((drawn == [255, 128, 0]).all(-1) == expected).all()


def test_lines_beyond_the_picture_cost_and_show_nothing():
    image = np.zeros((5, 8, 3), np.uint8)
    fan = np.array([[[-1e9, 2.0], [1e9, 2.0]], [[np.nan, 0.0], [3.0, 0.0]], [[0.0, 40.0], [8.0, 40.0]]])
    drawn = draw_lines(image, fan, (1, 2, 3)).any(-1)
    assert drawn[2].all()
    assert drawn.sum() == 8
    assert not draw_lines(image, fan[:0], (1, 2, 3)).any()


def test_what_is_only_looked_at_is_not_cut_off_by_what_collides():
    xml = """
    <mujoco>
      <worldbody>
        <camera name="front" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
        <body><geom type="box" size="0.05 0.05 0.05"/><geom name="look" type="sphere" size="0.4" contype="0" conaffinity="0"/></body>
      </worldbody>
    </mujoco>
    """
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    seen = Camera(model, "front", height=64, width=64).segment(data) == model.geom("look").id
    radius = np.sqrt(seen.sum() / np.pi)
    assert seen.any(axis=0).sum() == pytest.approx(2 * radius, rel=0.1)
    assert seen.any(axis=1).sum() == pytest.approx(2 * radius, rel=0.1)


def test_a_glance_shows_the_bytes_of_the_whole_picture():
    model, data = scene(SHAPES, 'material="checker"')
    camera = Camera(model, "aslant", height=24, width=32)
    sets = (np.arange(24 * 32), np.arange(5, 24 * 32, 7), np.arange(0))
    for some in (*([pixels] for pixels in sets), sets):
        geom_id, color = camera.glance(data, some)
        pixels = np.concatenate(some)
        np.testing.assert_array_equal(geom_id, camera.segment(data).ravel()[pixels])
        np.testing.assert_array_equal(color, camera.render(data).reshape(-1, 3)[pixels])
