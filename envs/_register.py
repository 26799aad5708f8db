"""Makes our environments known to Gymnasium, so that `gymnasium.make` finds them by name."""

import gymnasium

ENTRY_POINTS = {  # plants in MuJoCo
    "CartTable-v0": "envs:CartTableEnv",
    "DiscReach-v0": "envs:DiscReachEnv",
    "PointMaze-v0": "envs:PointMazeEnv",
    "PendulumSwingUp-v0": "envs:PendulumSwingUpEnv",
    "CartPoleSwingUp-v0": "envs:CartPoleSwingUpEnv",
    "ReacherMatch-v0": "envs:ReacherMatchEnv",
}
OTHERS = {  # seen in pictures
    "TwoRooms-v0": "envs:TwoRoomsEnv",
    "TwoRoomsMatch-v0": "envs:TwoRoomsMatchEnv",
    "CradleScene-v0": "envs.cradle:CradleEnv",
}


def register() -> None:
    """Register every environment of this package with Gymnasium; what is registered already stays as it is.

    Importing `envs` does this. Gymnasium reads no plugins of installed distributions since its version 1.0, so a program that has not
    imported `envs` writes `gymnasium.make("envs:CartTable-v0")`.
    """
    for env_id, entry_point in (ENTRY_POINTS | OTHERS).items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=entry_point)


register()
