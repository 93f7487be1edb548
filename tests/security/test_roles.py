"""Who may call what."""

import pytest

from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.security.role import Role
from rt_predictor.security.roles import is_standard_health, roles_for

METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["RuntimePredictor"].methods]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_the_role_of_what_it_does(name: str) -> None:
    expected = {Role.ADMIN}
    if name.startswith("Predict"):
        expected = {Role.PREDICT}
    elif name in ("RecordOutcomes", "RecordEvents"):
        expected = {Role.RECORD}
    elif name in ("GetModelInfo", "HealthCheck"):
        expected = set(Role)
    assert roles_for(f"/{SERVICE}/{name}") == expected


@pytest.mark.parametrize(
    "method",
    [f"/{SERVICE}/ReloadModel", f"/{SERVICE}/", "", "Predict", f"/other.{SERVICE}/Predict"],
)
def test_what_is_not_known_is_for_administrators(method: str) -> None:
    assert roles_for(method) == {Role.ADMIN}


def test_health_and_reflection_are_for_everybody_who_is_known() -> None:
    for method in ("/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/X"):
        assert roles_for(method) == set(Role)
    assert is_standard_health("/grpc.health.v1.Health/Watch")
    assert not is_standard_health("/grpc.health.v2.Health/Watch")
