"""An executor whose workers run on a Ray cluster, or on this machine's own Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from varkit.errors import VarkitError
from varkit.media.catalogue import Video
from varkit.media.pool import NextJob
from varkit.media.work import Job, Progress, Setup, Worker, failed


class OnRay:
    """Work in Ray actors. All machines must see the media and the store under the same paths.

    The cluster is the one that the variable ``RAY_ADDRESS`` names; without it, Ray runs on this
    machine alone. Only this process writes the catalogue.

    Args:
        count: of the actors.

    Raises:
        VarkitError: Ray is not installed.
    """

    def __init__(self, count: int) -> None:
        if find_spec("ray") is None:
            raise VarkitError("Ray is not installed", hint="pip install 'varkit[ray]'")
        self._count = count

    def __call__(
        self, setup: Setup, next_job: NextJob, progress: Progress
    ) -> Iterator[tuple[Job, Video]]:
        """Yield each file with how it went, in the order in which they are done."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        ours = not ray.is_initialized()
        if ours:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        remote: Any = ray.remote(num_cpus=1, max_restarts=0)(Worker)
        idle: list[Any] = []
        busy: dict[Any, tuple[Any, Job]] = {}
        try:
            while True:
                while len(busy) < self._count and (job := next_job()) is not None:
                    actor = idle.pop() if idle else remote.remote(setup)
                    busy[actor.do.remote(job)] = actor, job
                if not busy:
                    return
                done, _ = ray.wait(list(busy), timeout=1.0)
                if not done:
                    progress(next(iter(busy.values()))[1].path, 0.0, None)  # a stop may be wanted
                    continue
                actor, job = busy.pop(done[0])
                try:
                    video = ray.get(done[0])
                except RayActorError:
                    yield job, failed(job, setup.media, "the worker died", again=True)
                except RayTaskError as error:
                    raise error.cause from None
                else:
                    idle.append(actor)
                    yield job, video
        finally:
            for actor in (*idle, *(actor for actor, _ in busy.values())):
                ray.kill(actor)
            if ours:
                ray.shutdown()
