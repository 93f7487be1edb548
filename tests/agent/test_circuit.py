"""The circuit: after failures in a row the service is left alone, and seldom looked at."""

from rt_predictor.agent.circuit import Circuit


def test_it_opens_after_failures_in_a_row() -> None:
    circuit = Circuit(failures=3, heartbeat_s=2.0, backoff_max_s=30.0)
    for outcome in (circuit.failed, circuit.failed, circuit.succeeded, circuit.failed):
        outcome()
        assert not circuit.is_open
    circuit.failed()
    circuit.failed()
    assert circuit.is_open


def test_looks_come_ever_more_seldom_until_the_service_is_back() -> None:
    circuit = Circuit(failures=3, heartbeat_s=2.0, backoff_max_s=30.0)
    assert circuit.next_look_s == 2.0
    waits_s = []
    for _ in range(6):
        circuit.absent()
        assert circuit.is_open
        waits_s.append(circuit.next_look_s)
    assert waits_s == [4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    circuit.succeeded()
    assert not circuit.is_open
    assert circuit.next_look_s == 2.0


def test_years_of_absence_are_no_overflow() -> None:
    circuit = Circuit(failures=1, heartbeat_s=2.0, backoff_max_s=30.0)
    for _ in range(5000):
        circuit.absent()
    assert circuit.next_look_s == 30.0
