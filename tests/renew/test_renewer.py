"""Rounds of renewal: when a candidate is trained, what becomes of it, and deaths in between."""

import shutil
from pathlib import Path

import pytest

from rt_predictor.errors import BundleError, RenewalError, StartupError
from rt_predictor.model.bundle import read_bundle
from rt_predictor.processes.bundle_watch import is_whole
from rt_predictor.renew import renewer as renewer_module
from rt_predictor.renew.judge import Verdict
from rt_predictor.renew.renewer import DAY_S
from rt_predictor.training.fine_tune import Figures
from tests.model.plain_bundle import write_plain_bundle
from tests.renew.sites import EVERY_S, Death, Killed, Site, Trainer, version_of

BETTER, SAME, WORSE = Figures(90.0, 60.0, 0.5), Figures(100.0, 70.0, 0.5), Figures(101.0, 60.0, 0.5)
BESIDE = {"served", "candidate", "candidate.renewal"}


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    trainer = Trainer()
    monkeypatch.setattr(renewer_module, "train_site", trainer)
    return trainer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path).made()


@pytest.fixture
def waiting(site: Site, trainer: Trainer) -> Site:
    """A candidate was trained on 300 jobs, and a period later 300 more have ended."""
    site.record(0, 300)
    site.renewer().round()
    site.record(300, 600)
    site.now_s += EVERY_S
    return site


def judged_as(monkeypatch: pytest.MonkeyPatch, candidate: Figures) -> None:
    monkeypatch.setattr(
        renewer_module, "judge", lambda _, rows, *__, **___: Verdict(len(rows), candidate, SAME)
    )


def test_too_few_new_jobs_train_nothing(site: Site, trainer: Trainer) -> None:
    site.record(0, 49)
    site.renewer().round()
    assert trainer.trained == 0
    assert (site.state.candidate, site.names()) == (None, {"served", "candidate.renewal"})
    site.record(49, 50)
    site.renewer().round()
    assert trainer.trained == 1


def test_a_candidate_goes_before_the_shadow_and_nothing_else_changes(
    site: Site, trainer: Trainer
) -> None:
    site.record(0, 300)
    site.renewer().round()
    assert version_of(site.folders.candidate) == "new-1"
    assert version_of(site.folders.served) == "old"
    candidate = site.state.candidate
    assert candidate is not None
    assert candidate.waits
    assert candidate.learned_until_s == site.jobs["end_time"][299]
    assert site.names() == BESIDE


def test_nothing_is_done_before_it_is_due(waiting: Site, trainer: Trainer) -> None:
    waiting.now_s -= DAY_S
    waiting.renewer().round()
    assert waiting.renewer().wait_s() == DAY_S
    waiting.now_s -= EVERY_S
    assert waiting.renewer().wait_s() == 0  # the clock was set back
    assert (trainer.trained, waiting.state.decisions) == (1, ())


def test_a_candidate_waits_until_enough_jobs_have_followed(
    waiting: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, BETTER)
    since_s = waiting.jobs["end_time"][299]
    followed = int((waiting.jobs["submit_time"] > since_s).sum())
    assert followed < 300  # some of those that ended later had been submitted before
    waiting.renewer(least=followed + 1).round()
    assert (trainer.trained, version_of(waiting.folders.served)) == (1, "old")
    waiting.renewer(least=followed - 5).round()  # fingerprints hold a few others
    assert version_of(waiting.folders.served) == "new-1"


@pytest.mark.parametrize("figures", [BETTER, SAME])
def test_one_that_is_no_worse_is_promoted_and_the_old_one_kept(
    waiting: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    judged_as(monkeypatch, figures)
    waiting.renewer().round()
    assert version_of(waiting.folders.served) == "new-1"
    assert version_of(waiting.folders.previous) == "old"
    (decision,) = waiting.state.decisions
    assert (decision.outcome, decision.model_version) == ("promoted", "new-1")
    assert "it is no worse: on" in decision.reason
    # The next one is trained in the same round, from the base again.
    assert version_of(waiting.folders.candidate) == "new-2"
    assert waiting.names() == {*BESIDE, "served.previous"}


@pytest.mark.parametrize(
    ("figures", "worse_in"),
    [
        (WORSE, "mean absolute error"),
        (Figures(90.0, 71.0, 0.5), "CRPS"),
        (Figures(101.0, 71.0, 0.5), "mean absolute error and CRPS"),
    ],
)
def test_one_that_is_worse_in_either_is_dropped_with_the_reason(
    waiting: Site,
    trainer: Trainer,
    monkeypatch: pytest.MonkeyPatch,
    figures: Figures,
    worse_in: str,
) -> None:
    judged_as(monkeypatch, figures)
    waiting.renewer().round()
    assert version_of(waiting.folders.served) == "old"
    (decision,) = waiting.state.decisions
    assert decision.outcome == "dropped"
    assert decision.reason.startswith(f"it is worse in {worse_in}: on ")
    assert f"mean absolute error is {figures.mae_s} s (100.0 s of the one in service)" in (
        decision.reason
    )
    assert version_of(waiting.folders.candidate) == "new-2"
    assert waiting.names() == BESIDE


def test_only_new_jobs_count_after_a_verdict(
    waiting: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, BETTER)
    waiting.renewer().round()
    waiting.now_s += EVERY_S
    # Nothing has followed the second candidate: it waits. Once it is decided on, nothing is new.
    waiting.renewer().round()
    assert (trainer.trained, len(waiting.state.decisions)) == (2, 1)
    shutil.rmtree(waiting.folders.served)
    shutil.copytree(waiting.folders.candidate, waiting.folders.served)
    waiting.renewer().round()
    assert trainer.trained == 2
    assert waiting.state.decisions[1].reason == "it is in service already"


def test_a_candidate_that_somebody_replaced_is_lost_and_trained_anew(
    waiting: Site, trainer: Trainer
) -> None:
    shutil.rmtree(waiting.folders.candidate)
    write_plain_bundle(waiting.folders.candidate, version="theirs")
    waiting.renewer().round()
    (decision,) = waiting.state.decisions
    assert (decision.outcome, trainer.trained) == ("lost", 2)
    assert version_of(waiting.folders.candidate) == "new-2"


def test_a_bundle_that_is_replaced_during_the_verdict_stays(
    waiting: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(_: object, rows: list[int], *__: object, **___: object) -> Verdict:
        write_plain_bundle(waiting.folders.served, version="theirs")
        return Verdict(len(rows), BETTER, SAME)

    monkeypatch.setattr(renewer_module, "judge", judge)
    with pytest.raises(RenewalError, match="was replaced while the candidate was judged"):
        waiting.renewer().round()
    assert version_of(waiting.folders.served) == "theirs"
    candidate = waiting.state.candidate
    assert candidate is not None
    assert candidate.waits


@pytest.mark.parametrize(
    ("figures", "outcome", "exchanging"),
    [(BETTER, "promoted", True), (BETTER, "promoted", False), (WORSE, "dropped", True)],
)
def test_a_round_that_is_killed_before_any_step_is_ended_by_the_next(
    waiting: Site,
    trainer: Trainer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    figures: Figures,
    outcome: str,
    exchanging: bool,
) -> None:
    judged_as(monkeypatch, figures)
    served = {"promoted": "new-1", "dropped": "old"}[outcome]
    for at in range(1000):
        folder = tmp_path_factory.mktemp("killed")
        shutil.copytree(waiting.folder, folder, dirs_exist_ok=True)
        site = Site(folder, now_s=waiting.now_s)
        trainer.trained = 1
        try:
            with Death(at).awaited(exchanging=exchanging):
                site.renewer().round()
        except Killed:
            alive = False
        else:
            alive = True
        if exchanging:  # whoever starts meanwhile finds a bundle
            assert is_whole(site.folders.served)
        again = site.renewer()
        again.check()
        again.round()
        assert version_of(site.folders.served) == served
        assert [decision.outcome for decision in site.state.decisions] == [outcome]
        if outcome == "promoted":
            assert version_of(site.folders.previous) == "old"
        candidate = site.state.candidate
        assert candidate is not None
        assert candidate.waits
        assert version_of(site.folders.candidate) == candidate.model_version != "new-1"
        assert site.names() - {"served.previous"} == BESIDE
        assert [path.name for path in site.folders.work.iterdir()] == []
        if alive:
            break
    assert at > 20


def test_what_cannot_be_done_is_said_at_once(site: Site) -> None:
    with pytest.raises(StartupError, match=r"no history log .*start the service first"):
        site.renewer().check()
    site.record(0, 1)
    site.renewer().check()
    shutil.rmtree(site.folders.served)
    with pytest.raises(BundleError, match="no model bundle at"):
        site.renewer().check()


def test_a_state_that_cannot_be_read_says_how_to_go_on(site: Site) -> None:
    site.record(0, 1)
    site.renewer().check()
    site.folders.state.write_text('{"format": 2}')
    with pytest.raises(StartupError, match=r"renewal.json .*: delete it"):
        site.renewer().check()


def test_files_that_cannot_be_written_are_an_error_of_ours(
    site: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    site.record(0, 300)
    monkeypatch.setattr(renewer_module, "put_in_place", full)
    with pytest.raises(RenewalError, match="No space left"):
        site.renewer().round()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model.shadow_path": ""}, "set model.shadow_path, or give -o DIR"),
        ({"model.shadow_path": "served"}, "holds a model in use"),
        ({"training.base": "served"}, "is both the bundle in service .* and the base model"),
    ],
)
def test_folders_that_do_not_go_together_are_refused(
    site: Site, changes: dict[str, str], says: str
) -> None:
    full = {
        name: site.settings.model.path if folder == "served" else folder
        for name, folder in changes.items()
    }
    site.settings = site.settings.with_overrides(full)
    with pytest.raises(StartupError, match=says):
        assert site.folders


def test_the_previous_bundle_can_be_put_back_by_hand(
    waiting: Site, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, BETTER)
    waiting.renewer().round()
    shutil.rmtree(waiting.folders.served)
    waiting.folders.previous.rename(waiting.folders.served)
    waiting.renewer().check()
    assert read_bundle(waiting.folders.served).info.model_version == "old"
    candidate = waiting.state.candidate
    assert candidate is not None
    assert candidate.waits
