"""`python -m robust serve --ray ADDRESS`: the app of http.py in replicas on Ray Serve, on one machine or many."""

import signal
import threading
from collections.abc import Callable

from prometheus_client import Metric
from starlette.applications import Starlette

from robust.guard import Guard
from robust.serving.cluster import connect, replicas_for
from robust.serving.http import MOST_WAITING, http_app

NAME = "robust"
STOP_S = 30.0  # for what was taken in, when it is stopped


def serve_on_ray(
    guard: Guard, address: str, replicas: int | None, host: str, port: int, on_ready: Callable[[int], None]
) -> None:
    """Serve the guard until SIGINT or SIGTERM; `on_ready` is told how many replicas there are as soon as they answer.

    `address` as in `cluster.connect`; `replicas` defaults to one for each CPU of the cluster. Requests are spread over
    them; one that dies is replaced, and only requests that it was answering fail. Raises NoCluster.
    """
    ray = connect(address, "serve")
    from ray import serve

    try:
        replicas = replicas_for(ray, replicas)
        serve.start(http_options={"host": host, "port": port})
        deployment = serve.deployment(
            serve.ingress()(Replica),
            name=NAME,
            num_replicas=replicas,
            max_ongoing_requests=MOST_WAITING,
            graceful_shutdown_timeout_s=STOP_S,
            ray_actor_options={"num_cpus": 1},
        )
        serve.run(deployment.bind(guard), name=NAME)
        on_ready(replicas)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()
        serve.delete(NAME)
    finally:
        ray.shutdown()


class Replica:
    """One of the replicas: the app, and what it has counted."""

    def __init__(self, guard: Guard):
        self.served = http_app(guard, self.counted_by_all)

    def __serve_build_asgi_app__(self) -> Starlette:
        return self.served

    def counted(self) -> list[Metric]:
        """This replica's metrics, each sample with the label `replica`."""
        from ray import serve

        label = {"replica": serve.get_replica_context().replica_tag}
        families = list(self.served.state.service.registry.collect())
        for family in families:
            family.samples = [sample._replace(labels=sample.labels | label) for sample in family.samples]
        return families

    async def counted_by_all(self) -> list[Metric]:
        """The metrics of all replicas."""
        from ray import serve

        merged: dict[str, Metric] = {}
        for families in await serve.get_app_handle(NAME).broadcast("counted").results_async():
            for family in families:
                if family.name in merged:
                    merged[family.name].samples += family.samples
                else:
                    merged[family.name] = family
        return list(merged.values())
