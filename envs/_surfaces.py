"""What rays need to know of a MuJoCo model once they met it: the colours of its geoms and sky, what is painted on planes, its lights."""

import math
from typing import NamedTuple

import mujoco
import numpy as np

SKY_ZENITH, SKY_NADIR = (115, 160, 215), (250, 250, 250)  # RGB
SKY_LEVELS = 256  # shades from nadir to zenith


class Lamp(NamedTuple):
    light: int  # id; -1 is the headlight
    diffuse: np.ndarray
    directional: bool
    shadow: bool


class Paint(NamedTuple):
    geom: int
    texels: np.ndarray  # (3, rows * columns), already multiplied by the geom's colour, 0 to 255
    mean: np.ndarray  # (3, 1)
    shape: tuple[int, int]
    repeat: np.ndarray  # (2,), textures per metre along the plane's x and y


def read_surfaces(model: mujoco.MjModel) -> tuple[np.ndarray, list[Paint]]:
    """Colours (3, geoms + SKY_LEVELS), 0 to 255, by geom id and then by how high one looks, and what is painted on planes."""
    sky = np.linspace(SKY_NADIR, SKY_ZENITH, SKY_LEVELS, dtype=np.float32).T
    colors, paints = np.concatenate([np.zeros((3, model.ngeom), np.float32), sky], 1), []
    for geom, material in enumerate(model.geom_matid):
        rgb = model.geom_rgba[geom, :3] * 255
        if material >= 0:
            if (model.geom_rgba[geom] == 0.5 + 0.5 * (np.arange(4) == 3)).all():  # MuJoCo's default gives way to the material
                rgb = model.mat_rgba[material, :3] * 255
            texture = model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB]
            if texture >= 0:
                shape = (model.tex_height[texture], model.tex_width[texture], model.tex_nchannel[texture])
                texels = model.tex_data[model.tex_adr[texture] :][: math.prod(shape)].reshape(shape)[..., :3]
                texels = (texels / 255 * rgb).astype(np.float32)
                rgb = texels.mean((0, 1))
                flat = model.tex_type[texture] == mujoco.mjtTexture.mjTEXTURE_2D
                if flat and model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
                    size = model.geom_size[geom, :2]
                    side = np.where((size == 0) | model.mat_texuniform[material], 1.0, 2 * size)
                    repeat = (model.mat_texrepeat[material] / side).astype(np.float32)
                    paints.append(Paint(geom, texels.reshape(-1, 3).T.copy(), rgb[:, None], shape[:2], repeat))
        colors[:, geom] = rgb
    return colors, paints


def read_lights(model: mujoco.MjModel) -> tuple[np.ndarray, list[Lamp]]:
    """Ambient light (channels, 1) and the lamps; a lone headlight is turned up until what faces it shows its own colour."""
    head, ambient, lamps = model.vis.headlight, np.zeros((3, 1), np.float32), []
    if head.active:
        ambient[:, 0] += head.ambient
        lamps.append(Lamp(-1, head.diffuse.reshape(3, 1).astype(np.float32), True, False))
    for index in np.flatnonzero(model.light_active):
        kind, diffuse = model.light_type[index], model.light_diffuse[index].reshape(3, 1).astype(np.float32)
        if kind != mujoco.mjtLightType.mjLIGHT_IMAGE:
            ambient[:, 0] += model.light_ambient[index]
            sun = bool(kind == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
            lamps.append(Lamp(int(index), diffuse, sun, bool(model.light_castshadow[index])))
    if len(lamps) == 1 and lamps[0].light < 0 and (brightness := (ambient + lamps[0].diffuse).max()) > 0:
        ambient, lamps = ambient / brightness, [lamps[0]._replace(diffuse=lamps[0].diffuse / brightness)]
    if all((color == color[0]).all() for color in (ambient, *(lamp.diffuse for lamp in lamps))):  # white: one channel serves
        return ambient[:1], [lamp._replace(diffuse=lamp.diffuse[:1]) for lamp in lamps]
    return ambient, lamps


def draw_texture(paint: Paint, points: np.ndarray, footprint: np.ndarray, eye: np.ndarray, data: mujoco.MjData) -> np.ndarray:
    """Colours (3, points) of what is painted on a plane, blurred to its mean where a pixel's `footprint` (m) is wide."""
    axes, middle = data.geom_xmat[paint.geom].reshape(3, 3), data.geom_xpos[paint.geom]
    rows, columns = paint.shape
    with np.errstate(invalid="ignore"):
        texel = []
        for count, axis in ((columns, axes[:, 0] * paint.repeat[0]), (rows, axes[:, 1] * paint.repeat[1])):
            turns = dot(points, axis.astype(np.float32)) - np.float32(axis @ middle)
            texel.append(((turns - np.floor(turns)) * np.float32(count)).astype(np.int32))
    color = paint.texels.take(texel[1] * columns + texel[0], 1, mode="clip")
    above = max(abs(axes[:, 2] @ (eye - middle)), np.finfo(np.float32).eps)  # m; footprint / above is how far a pixel reaches
    blur = np.minimum(footprint * np.float32(2 * paint.repeat.max() / above), np.float32(1))  # 1: as far as a checker's square
    color += (paint.mean - color) * blur
    return color


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
