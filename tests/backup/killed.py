"""A process that makes a backup, or restores one, and is killed in the middle: `HOME FOLDER (create|restore) MOMENT`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from remit.local.backup import making, restoring
from remit.local.wiring import wall_clock
from tests.backup.building import made, put_back
from tests.runtime.world import World


def main() -> None:
    home, folder, what, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    module: Any = making if what == "create" else restoring
    real = getattr(module, moment)

    def dying(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, moment, dying)
    if what == "create":
        world = World(home, wall_clock)
        made(world, folder)
    else:
        put_back(home, folder, wall_clock())


if __name__ == "__main__":
    main()
