"""One share of a run of several steps."""

import pytest

from rt_predictor.training.progress import Plan


@pytest.fixture
def reported() -> list[tuple[str, float]]:
    return []


def test_steps_take_their_part_of_the_whole(reported: list[tuple[str, float]]) -> None:
    plan = Plan({"read": 1.0, "tune": 3.0}, lambda step, share: reported.append((step, share)))
    plan.step("read")(0.5)
    plan.step("tune")(1 / 3)
    plan.finish()
    assert reported == [
        ("read", 0.0),
        ("read", 0.125),
        ("tune", 0.25),
        ("tune", pytest.approx(0.5)),
        ("done", 1.0),
    ]


def test_more_to_do_than_was_thought_holds_the_share_where_it_is(
    reported: list[tuple[str, float]],
) -> None:
    plan = Plan({"read": 1.0, "tune": 1.0}, lambda step, share: reported.append((step, share)))
    plan.step("read")(1.0)
    plan.expect({"tune": 99.0})
    tune = plan.step("tune")
    tune(0.1)
    tune(1.0)
    shares = [share for _, share in reported]
    assert shares == sorted(shares)
    assert shares[-2:] == [0.5, 1.0]


def test_a_step_that_nobody_planned_takes_no_time(reported: list[tuple[str, float]]) -> None:
    plan = Plan({"read": 1.0}, lambda step, share: reported.append((step, share)))
    plan.step("surprise")(1.0)
    assert reported[-1] == ("surprise", 0.0)
