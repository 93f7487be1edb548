"""`[tracing]`: what is a receiver."""

import pytest

from rt_predictor.errors import SettingsError
from rt_predictor.settings import Settings


@pytest.mark.parametrize("endpoint", ["http://localhost:4317", "https://collector.site"])
def test_a_receiver_has_a_scheme_that_says_whether_tls_is_spoken(endpoint: str) -> None:
    settings = Settings().with_overrides({"tracing.endpoint": endpoint})
    assert settings.tracing.endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["", "localhost:4317", "http://", "grpc://x:1"])
def test_anything_else_is_refused_with_an_example(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"must begin with http:// or https://, e\.g\. http"):
        Settings().with_overrides({"tracing.endpoint": endpoint})
