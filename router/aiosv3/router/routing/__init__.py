"""The routing policy: ``routing.yaml``, its versions on the log, and what is decided by it."""

from aiosv3.router.routing.routingpolicy import BUILT_IN, RoutingPolicy

__all__ = ["BUILT_IN", "RoutingPolicy"]
