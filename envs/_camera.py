"""A camera without OpenGL: MuJoCo casts the rays, numpy adds the light.

The same data give the same bytes on a laptop and on a build server, since no graphics driver takes part.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8

from ._surfaces import SKY_LEVELS, Lamp, dot, draw_texture, read_lights, read_surfaces

VISIBLE_GROUPS = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # geom groups, as in MuJoCo's viewer
FREE_VIEW_DISTANCE = 1.5  # model extents between the free camera and what it looks at
SUN_DISTANCE = 50.0  # model extents from which a directional light casts its shadows
SHADOW_BIAS = 1e-3  # model extents that a point is lifted, lest it shadow itself
VIEW_KEYS = ("distance", "azimuth", "elevation", "lookat", "trackbodyid")


class RayImage(NamedTuple):
    """What one ray per pixel found. Where it found nothing: -1, inf, zeros and nan.

    `geom_id` counts geoms; `depth` (m) is measured along the camera's axis, as by MuJoCo's renderer; `normal` points out
    of the surface; `points` (m) lie on it; `rays` are in world axes, one metre deep. Hence `points = eye + depth * rays`.
    """

    geom_id: Int32[np.ndarray, "height width"]
    depth: Float32[np.ndarray, "height width"]
    normal: Float32[np.ndarray, "height width 3"]
    points: Float32[np.ndarray, "height width 3"]
    rays: Float32[np.ndarray, "height width 3"]


class _Grid(NamedTuple):
    """The rays of one picture, which stay while the camera does not turn."""

    rays: np.ndarray  # (rays, 3), float64 for MuJoCo
    axes: np.ndarray  # the same (3, rays), float32
    square: np.ndarray  # of their lengths
    sky: np.ndarray  # the colour that each shows where it meets nothing


class _Hits(NamedTuple):
    """What rays found, a column for every ray, as in a `RayImage`."""

    geom_id: np.ndarray
    depth: np.ndarray
    normal: np.ndarray  # (3, rays)
    points: np.ndarray  # the same


class Camera:
    """Renders a MuJoCo model by casting rays: colours, geom ids and depths, on any machine, to the same byte.

    An engine shell, hence a plain class. Surfaces are matte (ambient + Σ diffuse · max(0, n · l), clipped) and opaque; 2-D
    textures are drawn on planes, elsewhere a texture counts by its mean; a geom with alpha 0 is not there. Geoms of groups
    0 to 2 are seen; sites, tendons, flexes and skins are not. Colours and lights are read once, when the camera is made; poses are
    read from `data`, which is of this model, at every call: call `mj_forward` after you write `qpos`. A model without lights of
    its own is lit by the headlight, turned up until what faces the camera shows its own colour.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        camera: str | int | None = None,
        *,
        height: int = 240,
        width: int = 320,
        shadows: bool = False,
        samples: int = 1,
        view: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `model`: what to look at.
        - `camera`: a camera's name or id; `None` is MuJoCo's free view of the whole model.
        - `height`, `width`: of the picture, in pixels.
        - `shadows`: whether lights with `castshadow` cast them, for one more ray per pixel and light.
        - `samples`: rays along each side of a pixel in `render`; 2 smooths edges at four times the cost.
        - `view`: changes the free view: `distance` (m), `azimuth` and `elevation` (degrees), `lookat` (m) and
            `trackbodyid`. A body above 0 is followed, at the height of `lookat` if that is given. Gymnasium's
            `default_camera_config` may be passed as it is.

        **Raises:** `ValueError` for an unknown camera or key, a size below 1, or a camera that one pinhole cannot serve.
        """
        for name, value in (("height", height), ("width", width), ("samples", samples)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}. It counts pixels, or rays along a pixel.")
        if camera is not None and view is not None:
            raise ValueError("`view` places the free camera, so it needs `camera=None`. Drop one of the two.")
        self.model, self.height, self.width, self.samples, self.shadows = model, height, width, samples, shadows
        self._rays = _without_culling(model)
        self._id = None if camera is None else _find_camera(model, camera)
        self._view = _free_view(model, view or {})
        fovy = model.vis.global_.fovy if self._id is None else model.cam_fovy[self._id]
        orthographic = model.vis.global_.orthographic if self._id is None else model.cam_projection[self._id]
        if orthographic or (self._id is not None and model.cam_sensorsize[self._id].any()):
            raise ValueError(f"`camera` {camera!r} is orthographic or has a sensor size. Use a perspective one with `fovy`.")
        self._focal = height / (2 * math.tan(math.radians(fovy) / 2))  # pixels
        self._colors, self._paints = read_surfaces(model)
        self._ambient, self._lamps = read_lights(model)
        self._grids: dict[int, tuple[bytes, _Grid]] = {}

    def cast(self, data: mujoco.MjData) -> RayImage:
        """One ray through the middle of every pixel: what `segment` and `depth` return, and `shade` turns into colours.

        **Returns:** a `RayImage` of the picture's height and width.
        """
        return self._cast(data, 1)

    def render(self, data: mujoco.MjData) -> UInt8[np.ndarray, "height width 3"]:
        """The picture, in colours.

        **Returns:** RGB of shape (height, width, 3), 0 to 255.
        """
        color = self.shade(self._cast(data, self.samples), data)
        if self.samples == 1:
            return color
        blocks = color.reshape(self.height, self.samples, self.width, self.samples, 3)
        count = self.samples**2
        return ((blocks.sum((1, 3), dtype=np.uint32) + count // 2) // count).astype(np.uint8)

    def segment(self, data: mujoco.MjData) -> Int32[np.ndarray, "height width"]:
        """Which geom each pixel shows.

        **Returns:** geom ids of shape (height, width); -1 where there is nothing.
        """
        return self.cast(data).geom_id

    def depth(self, data: mujoco.MjData) -> Float32[np.ndarray, "height width"]:
        """How far each pixel is along the camera's axis (not along the ray), as in MuJoCo's own depth images.

        **Returns:** depths of shape (height, width), in m; inf where there is nothing.
        """
        return self.cast(data).depth

    def glance(
        self, data: mujoco.MjData, pixels: Iterable[Int[np.ndarray, " _"]]
    ) -> tuple[Int32[np.ndarray, " all"], UInt8[np.ndarray, "all 3"]]:
        """What a few pixels show, to the same bytes as `segment` and `shade`: where only a little moves, the rest need not be cast.

        **Arguments:** `pixels`: one or several sets, counted along the rows of the picture from the top left. The iterator that gives
        them may move things in `data` before each, but neither camera nor lamps nor what is painted; all are coloured at once.

        **Returns:** geom ids, -1 where there is nothing, and RGB, 0 to 255, of one set after another.
        """
        eye, axes = self._pose(data)
        whole = self._grid(axes, 1)
        chosen, met = [], []
        for some in pixels:
            rays = whole.rays[some]
            met.append(_multi_ray(self._rays, data, eye, rays))
            chosen.append(some)
        at = np.concatenate(chosen)
        grid = _Grid(whole.rays[:0], *(plane[..., at] for plane in whole[1:]))
        geom_id, depth, normal = map(np.concatenate, zip(*met, strict=True))
        hits = _found(geom_id, depth, normal, eye, grid)
        return hits.geom_id, self._color(hits, grid, eye, data, 1)

    def shade(self, image: RayImage, data: mujoco.MjData) -> UInt8[np.ndarray, "height width 3"]:
        """Colours for rays already cast, so that one cast serves the picture, its mask and its depth.

        **Arguments:** `image`, from `cast` with the same `data`.

        **Returns:** RGB of shape (height, width, 3), 0 to 255.
        """
        eye, axes = self._pose(data)
        height, width = image.depth.shape
        samples = height // self.height
        hits = _Hits(image.geom_id.ravel(), image.depth.ravel(), *(x.reshape(-1, 3).T for x in (image.normal, image.points)))
        return self._color(hits, self._grid(axes, samples), eye, data, samples).reshape(height, width, 3)

    def project(
        self, points: Float[np.ndarray, "points 3"], data: mujoco.MjData
    ) -> tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]:
        """Where points of the world fall in the picture, to draw plans over it.

        **Arguments:** `points` in m, world axes.

        **Returns:** (column, row) in pixels, (0, 0) being the middle of the top left pixel and nan behind the camera; and whether
        each point is within the picture. A point hidden by a geom counts as within; compare with `depth` to know.
        """
        eye, axes = self._pose(data)
        local = (points - eye) @ axes
        away = np.where(local[:, 2] < 0, -local[:, 2], np.nan)[:, None]
        center = np.array([self.width - 1, self.height - 1]) / 2
        pixels = local[:, :2] * [1, -1] * self._focal / away + center
        return pixels, np.all(np.abs(pixels - center) <= center + 0.5, axis=1)

    def _pose(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        if self._id is not None:
            return data.cam_xpos[self._id], data.cam_xmat[self._id].reshape(3, 3)
        axes, distance, lookat, body, track = self._view
        target = lookat if body == 0 else np.where(track, data.subtree_com[body], lookat)
        return target + distance * axes[:, 2], axes

    def _cast(self, data: mujoco.MjData, samples: int) -> RayImage:
        eye, axes = self._pose(data)
        height, width = self.height * samples, self.width * samples
        grid = self._grid(axes, samples)
        hits = self._meet(data, eye, grid)
        vectors = (x.T.reshape(height, width, 3) for x in (hits.normal, hits.points, grid.axes))
        return RayImage(hits.geom_id.reshape(height, width), hits.depth.reshape(height, width), *vectors)

    def _meet(self, data: mujoco.MjData, eye: np.ndarray, grid: _Grid) -> _Hits:
        return _found(*_multi_ray(self._rays, data, eye, grid.rays), eye, grid)

    def _color(self, hits: _Hits, grid: _Grid, eye: np.ndarray, data: mujoco.MjData, samples: int) -> np.ndarray:
        index = np.where(hits.geom_id < 0, grid.sky, hits.geom_id)
        color = self._colors.take(index, 1)
        for paint in self._paints:
            shown = index == paint.geom
            if shown.any():
                footprint = grid.square * np.square(hits.depth) * np.float32(1 / (self._focal * samples))
                np.copyto(color, draw_texture(paint, hits.points, footprint, eye, data), where=shown)
        light = np.empty((len(self._ambient), index.size), np.float32)
        light[:] = self._ambient
        for lamp in self._lamps:
            light += lamp.diffuse * self._irradiance(lamp, hits.normal, hits.points, data)
        np.copyto(light, np.float32(1), where=index >= self.model.ngeom)
        color *= light
        color += np.float32(0.5)
        np.minimum(color, np.float32(255), out=color)
        return _interleave(color, np.uint8)

    def _grid(self, axes: np.ndarray, samples: int) -> _Grid:
        key, (known, grid) = axes.tobytes(), self._grids.get(samples, (None, None))
        if grid is None or known != key:
            height, width, focal = self.height * samples, self.width * samples, self._focal * samples
            right = (np.arange(width) - (width - 1) / 2) / focal
            up = ((height - 1) / 2 - np.arange(height))[:, None] / focal
            rays = np.stack([(right * x + (up * y - z)).ravel() for x, y, z in axes])
            planes = rays.astype(np.float32)
            planes.flags.writeable = False  # every image shares them
            square = dot(planes, planes)
            sky = (planes[2] / np.sqrt(square) + 1) * np.float32((SKY_LEVELS - 1) / 2) + np.float32(self.model.ngeom)
            grid = _Grid(_interleave(rays, np.float64), planes, square, sky.astype(np.int32))
            self._grids[samples] = (key, grid)
        return grid

    def _irradiance(self, lamp: Lamp, normal: np.ndarray, points: np.ndarray, data: mujoco.MjData) -> np.ndarray:
        model, index = self.model, lamp.light
        beam = -self._pose(data)[1][:, 2] if index < 0 else data.light_xdir[index]
        if lamp.directional:
            amount = np.maximum(dot(normal, -beam.astype(np.float32)), 0)
            source = model.stat.center - SUN_DISTANCE * model.stat.extent * beam
        else:
            source = data.light_xpos[index]
            toward = source.astype(np.float32)[:, None] - points
            distance = np.sqrt(dot(toward, toward))
            constant, linear, quadratic = (float(x) for x in model.light_attenuation[index])
            amount = np.maximum(dot(normal, toward), 0) / (distance * (constant + distance * (linear + distance * quadratic)))
            if model.light_type[index] == mujoco.mjtLightType.mjLIGHT_SPOT:
                cosine = dot(toward, -beam.astype(np.float32)) / distance
                inside = cosine >= math.cos(math.radians(model.light_cutoff[index]))
                amount *= np.where(inside, np.abs(cosine) ** float(model.light_exponent[index]), np.float32(0))
        if self.shadows and lamp.shadow:
            at = np.flatnonzero(amount > 0)
            lifted = (points[:, at] + np.float32(SHADOW_BIAS * model.stat.extent) * normal[:, at]).T.astype(float)
            geom_id, part, _ = _multi_ray(self._rays, data, source, lifted - source)
            amount[at] *= (geom_id < 0) | (part >= 1)
        return amount


def _without_culling(model: mujoco.MjModel) -> mujoco.MjModel:
    """A model for rays: they pass by a body whose *colliding* geoms they miss, and so miss what is only there to be looked at."""
    collides = (model.geom_contype | model.geom_conaffinity) != 0
    mixed = [b for b in range(model.nbody) if np.unique(collides[model.geom_bodyid == b]).size == 2]
    if not mixed:
        return model
    model = model.__copy__()
    model.body_bvhnum[mixed], model.body_bvhadr[mixed] = 0, -1
    return model


def _find_camera(model: mujoco.MjModel, camera: str | int) -> int:
    names = [model.camera(index).name for index in range(model.ncam)]
    if camera in names or (isinstance(camera, int) and 0 <= camera < model.ncam):
        return names.index(camera) if isinstance(camera, str) else camera
    near = difflib.get_close_matches(str(camera), names)
    hint = f"Did you mean {near[0]!r}?" if near else "Use `camera=None` for the free view."
    raise ValueError(f"`camera` must be one of {names} or its index, got {camera!r}. {hint}")


def _free_view(model: mujoco.MjModel, view: Mapping[str, Any]) -> tuple[np.ndarray, float, np.ndarray, int, np.ndarray]:
    for key in view:
        if key not in VIEW_KEYS:
            raise ValueError(f"`view` must have keys among {VIEW_KEYS}, got {key!r}. Remove it.")
    azimuth = math.radians(view.get("azimuth", model.vis.global_.azimuth))
    elevation = math.radians(view.get("elevation", model.vis.global_.elevation))
    forward = [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    right = [math.sin(azimuth), -math.cos(azimuth), 0.0]
    axes = np.stack([right, np.cross(right, forward), -np.array(forward)], 1)
    lookat = np.array(view.get("lookat", model.stat.center), float)
    distance = float(view.get("distance", FREE_VIEW_DISTANCE * model.stat.extent))
    body = max(int(view.get("trackbodyid") or 0), 0)
    if body >= model.nbody:
        raise ValueError(f"`trackbodyid` must be below {model.nbody}, the number of bodies, got {body}.")
    return axes, distance, lookat, body, np.array([True, True, "lookat" not in view])


def _multi_ray(
    model: mujoco.MjModel, data: mujoco.MjData, origin: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(rays)
    geom_id, part, normal = np.empty(count, np.int32), np.empty(count), np.empty(3 * count)
    if count:
        rays = rays.ravel()
        mujoco.mj_multiRay(model, data, origin, rays, VISIBLE_GROUPS, True, -1, geom_id, part, normal, count, mujoco.mjMAXVAL)
    return geom_id, part, normal


def _found(geom_id: np.ndarray, depth: np.ndarray, normal: np.ndarray, eye: np.ndarray, grid: _Grid) -> _Hits:
    normal = np.ascontiguousarray(normal.reshape(-1, 3).T, np.float32)
    depth[geom_id < 0] = np.nan
    depth = depth.astype(np.float32)
    points = depth * grid.axes + eye.astype(np.float32)[:, None]
    depth[geom_id < 0] = np.inf
    return _Hits(geom_id, depth, normal, points)


def _interleave(planes: np.ndarray, dtype: type) -> np.ndarray:
    vectors = np.empty((planes.shape[1], 3), dtype)
    for axis in range(3):
        vectors[:, axis] = planes[axis]  # thrice as fast as one transposed copy
    return vectors
