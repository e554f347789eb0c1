"""The judge of a room in replicas on Ray Serve: on this machine, or on all machines of a cluster."""

from collections.abc import Callable

from robust.guard import Guard
from robust.room.judge import QUICK, SLOW, Judge
from robust.serving.cluster import connect, replicas_for

NAME = "robust-room"
TRIES = 5  # each on another replica, where one dies
ANSWER_S = 60.0


class RayJudge(Judge):
    """What Judge does, a part of the drawings by each replica. One that dies is replaced, and its part is judged again."""

    def __init__(self, guard: Guard, address: str, replicas: int | None = None):
        """`address` as in `cluster.connect`; one replica for each CPU unless told otherwise. Raises NoCluster."""
        super().__init__(guard)
        self.ray = connect(address, "serve")
        from ray import serve

        self.replicas = replicas_for(self.ray, replicas)
        self.at_once = (QUICK * self.replicas, SLOW * self.replicas)
        deployment = serve.deployment(
            Replica, name=NAME, num_replicas=self.replicas, max_ongoing_requests=2, ray_actor_options={"num_cpus": 1}
        )
        self.handle = serve.run(deployment.bind(guard), name=NAME, route_prefix=None)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        self.ray.shutdown()

    def quickly(self, drawings: list) -> list[dict]:
        return self._spread(self.handle.quickly.remote, drawings)

    def slowly(self, drawings: list, predictions: list[int]) -> list[dict]:
        return self._spread(self.handle.slowly.remote, drawings, predictions)

    def _spread(self, ask: Callable, *columns: list) -> list[dict]:
        """The answers in order; each replica gets a part of the columns."""
        size = -(-len(columns[0]) // self.replicas)
        parts = [[column[i : i + size] for column in columns] for i in range(0, len(columns[0]), size)]
        asked = [(ask(*part), part) for part in parts]
        return [row for answer, part in asked for row in self._answer(ask, answer, part)]

    def _answer(self, ask: Callable, answer, part: list[list]) -> list[dict]:
        from ray.exceptions import RayActorError

        for tries in range(TRIES):
            try:
                return answer.result(timeout_s=ANSWER_S)
            except RayActorError:  # the replica died
                if tries == TRIES - 1:
                    raise
                answer = ask(*part)


class Replica(Judge):
    """A Judge in a process of its own."""

    def __init__(self, guard: list):
        """`guard` is a list of Ray's reference to a Guard."""
        import torch

        torch.set_num_threads(1)
        super().__init__(guard)
