"""Roles: who may call what. The one table; a method that it does not name is for administrators."""

from dataclasses import dataclass

from rt_predictor.security.role import Role

_SERVICE_PREFIX = "/rt_predictor.v1.RuntimePredictor/"
_HEALTH_PREFIX = "/grpc.health.v1.Health/"
_REFLECTION_PREFIX = "/grpc.reflection."
_ANY = frozenset(Role)
_ADMIN = frozenset({Role.ADMIN})

_ROLES_BY_METHOD = {
    "Predict": frozenset({Role.PREDICT}),
    "PredictBatch": frozenset({Role.PREDICT}),
    "PredictStream": frozenset({Role.PREDICT}),
    "PredictArrow": frozenset({Role.PREDICT}),
    "RecordOutcomes": frozenset({Role.RECORD}),
    "RecordEvents": frozenset({Role.RECORD}),
    "GetModelInfo": _ANY,
    "HealthCheck": _ANY,
}


@dataclass(frozen=True)
class Caller:
    """Somebody whose token or certificate is known."""

    name: str
    roles: frozenset[Role]


def roles_for(method: str) -> frozenset[Role]:
    """The roles that may call a method, "/package.Service/Method"; one of them is enough."""
    if method.startswith((_HEALTH_PREFIX, _REFLECTION_PREFIX)):
        return _ANY
    if method.startswith(_SERVICE_PREFIX):
        name = method.removeprefix(_SERVICE_PREFIX)
        return _ROLES_BY_METHOD.get(name, _ADMIN)
    return _ADMIN


def is_standard_health(method: str) -> bool:
    """Return whether the method is one of grpc.health.v1."""
    return method.startswith(_HEALTH_PREFIX)
