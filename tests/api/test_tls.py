"""TLS on the gRPC port of a server in this process."""

import asyncio
import ssl
from dataclasses import replace

import pytest

from rt_predictor.api import server as server_module
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client import Access, Client
from rt_predictor.errors import ServiceError
from rt_predictor.security.certificates import CertificateWatch
from rt_predictor.security.security import Security
from tests.api.harness import HOST, job, running
from tests.predict.fakes import FakePredictor
from tests.security.files import Place
from tests.waiting import PATIENCE_S


def _security(place: Place, *, mutual: bool = False) -> Security:
    files = replace(place.issue(), client_ca=place.ca_file if mutual else None)
    return Security(CertificateWatch(files))


async def _refused(port: int, access: Access) -> str:
    async with Client(f"{HOST}:{port}", access=access, timeout_s=PATIENCE_S) as client:
        with pytest.raises(ServiceError) as raised:
            await client.health()
    return str(raised.value)


async def test_a_client_that_trusts_the_ca_is_answered_and_others_are_not(place: Place) -> None:
    stranger = place.folder / "stranger"
    stranger.mkdir()
    async with running(
        FakePredictor(), security=_security(place), access=place.access()
    ) as service:
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        for access, reason in (
            (Access(), "it may want TLS"),
            (Place(stranger).access(), "of no authority that is trusted: check --ca"),
            (replace(place.access(), server_name="elsewhere"), "for another name"),
        ):
            assert reason in await _refused(service.port, access)


async def test_a_client_that_wants_tls_of_a_plain_service_is_told_so(place: Place) -> None:
    async with running(FakePredictor()) as service:
        assert "does not speak TLS" in await _refused(service.port, place.access())


async def test_a_name_that_the_certificate_does_not_have_can_be_given(place: Place) -> None:
    files = place.issue("server", "predict.cluster.example")
    access = replace(place.access(), server_name="predict.cluster.example")
    security = Security(CertificateWatch(files))
    async with running(FakePredictor(), security=security, access=access) as service:
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        await _refused(service.port, place.access())


async def test_with_a_client_ca_who_shows_no_certificate_is_refused(place: Place) -> None:
    security = _security(place, mutual=True)
    async with running(FakePredictor(), security=security, access=place.access("alice")) as service:
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        assert "a certificate of yours" in await _refused(service.port, place.access())


async def _shown(port: int, place: Place) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=place.ca_file)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname=HOST)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return found


async def _until(done) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await done():
            await asyncio.sleep(0.005)


async def test_a_renewed_certificate_is_shown_without_a_restart(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SAMPLE_S", 0.005)
    async with running(
        FakePredictor(), security=_security(place), access=place.access()
    ) as service:
        old = await _shown(service.port, place)
        assert await _shown(service.port, place) == old
        before = await service.stub.Predict(job())
        place.issue()

        async def renewed() -> bool:
            return await _shown(service.port, place) != old

        await _until(renewed)
        assert await service.stub.Predict(job()) == before
        assert service.metric("certificate_not_renewed") == 0
        assert service.metric("certificate_expiry_timestamp_seconds", certificate="server") > 0


async def test_a_bad_renewed_file_keeps_the_old_certificate_and_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SAMPLE_S", 0.005)
    security = _security(place)
    async with running(FakePredictor(), security=security, access=place.access()) as service:
        old = await _shown(service.port, place)
        place.issue("server", expired=True)

        async def noticed() -> bool:
            return service.metric("certificate_not_renewed") == 1

        await _until(noticed)
        assert await _shown(service.port, place) == old
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_DEGRADED
        assert "certificate has expired" in health.components["tls"].message


async def test_plain_bytes_on_the_port_harm_nobody(place: Place) -> None:
    async with running(
        FakePredictor(), security=_security(place), access=place.access()
    ) as service:
        for noise in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b""):
            _, writer = await asyncio.open_connection(HOST, service.port)
            writer.write(noise)
            await writer.drain()
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert (await service.stub.Predict(job())).predicted_runtime > 0
