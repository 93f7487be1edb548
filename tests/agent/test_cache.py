"""Kept answers: few, young, and only for the same question."""

from dataclasses import replace

from rt_predictor.agent.cache import AnswerCache
from rt_predictor.client import Job, Prediction
from rt_predictor.model.answer_flags import Flag

ANSWER = Prediction(1.0, 0.5, 2.0, 0.9, None, None, {}, Flag(0), "m1", "")
JOB = Job(time_req=60, user="al", request_id="a")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_an_answer_is_kept_until_it_is_too_old() -> None:
    clock = Clock()
    cache = AnswerCache(10, ttl_s=5.0, clock=clock)
    cache.put(JOB, ANSWER)
    clock.now_s += 4.9
    assert cache.get(JOB) is ANSWER
    clock.now_s += 0.2
    assert cache.get(JOB) is None
    assert len(cache) == 0


def test_asking_again_does_not_make_an_answer_younger() -> None:
    clock = Clock()
    cache = AnswerCache(10, ttl_s=5.0, clock=clock)
    cache.put(JOB, ANSWER)
    for _ in range(3):
        clock.now_s += 2.0
        found = cache.get(JOB)
    assert found is None


def test_only_the_name_of_a_request_may_differ() -> None:
    cache = AnswerCache(10, ttl_s=5.0)
    cache.put(JOB, ANSWER)
    assert cache.get(replace(JOB, request_id="b")) is ANSWER
    for other in ({"user": "bo"}, {"time_req": 61}, {"submit_time": 5.0}, {"partial": True}):
        assert cache.get(replace(JOB, **other)) is None


def test_the_least_recently_used_goes_first() -> None:
    cache = AnswerCache(2, ttl_s=5.0)
    one, two, three = (Job(time_req=n) for n in (1, 2, 3))
    cache.put(one, ANSWER)
    cache.put(two, ANSWER)
    cache.get(one)
    cache.put(three, ANSWER)
    assert [cache.get(job) is not None for job in (one, two, three)] == [True, False, True]


def test_no_room_keeps_nothing() -> None:
    cache = AnswerCache(0, ttl_s=5.0)
    cache.put(JOB, ANSWER)
    assert cache.get(JOB) is None


def test_tasks_of_an_array_share_an_answer() -> None:
    cache = AnswerCache(10, ttl_s=60.0)
    task = replace(JOB, array_job_id="7", array_task_id="1")
    cache.put(task, ANSWER)
    assert cache.get(replace(task, array_task_id="2")) is ANSWER
    assert cache.get(replace(task, array_job_id="8")) is None
