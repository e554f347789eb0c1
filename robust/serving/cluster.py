"""Ray: of this run's own on this machine, or a cluster of many."""

import logging
import os
from pathlib import Path

import robust

OBJECT_STORE = 256 * 2**20  # bytes: what travels is paths, drawings and scores, never images


class NoCluster(RuntimeError):
    """There is no Ray, or none at that address; the text says what to do."""


def connect(address: str, part: str):
    """The module `ray`, connected to the cluster at `address`, or to a Ray of this run's own if that is "local", which
    reaches nothing beyond this machine. `part` of Ray is needed: "data" or "serve".

    Every machine needs this package's requirements, and can import the classifier where it is the owner's; this package
    is sent along. Raises NoCluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at the import
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # it would end a server in the middle of its stop
    try:
        import ray

        __import__(f"ray.{part}")
    except ImportError:
        raise NoCluster(f'Ray is not installed: pip install "ray[{part}]"') from None
    package = Path(robust.__file__).parent
    options = {"configure_logging": True, "logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
        paths = os.pathsep.join([str(package.parent), os.getcwd()])
        options["runtime_env"] = {"env_vars": {"PYTHONPATH": paths}}
    else:
        options["runtime_env"] = {"py_modules": [str(package)]}
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        ray.init(address, **options)
    except Exception as error:  # Ray has no common class for what can go wrong here
        raise NoCluster(f"Ray did not start or answer ({address}): {error}") from None
    return ray


def replicas_for(ray, replicas: int | None) -> int:
    """The number asked for, or one for each CPU. Raises NoCluster where there are fewer CPUs: Ray would wait for ever."""
    most = int(ray.cluster_resources()["CPU"])
    if replicas and replicas > most:
        raise NoCluster(f"{replicas} replicas want a CPU each, and the cluster has {most}.")
    return replicas or most
