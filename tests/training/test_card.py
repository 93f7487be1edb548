"""The model card."""

from rt_predictor.model.documents import LogDocument
from rt_predictor.training.card import card
from tests.model.bundles import a_base, a_tuned


def test_a_base_model_names_its_logs_and_whom_to_thank() -> None:
    logs = (
        LogDocument(name="Alpha", jobs=1200, acknowledgement="Ann, Archive 2014"),
        LogDocument(name="Beta", jobs=34),
    )
    text = card(a_base(training_logs=logs), ["MAE is 0.9 of the best rule's."], {})
    assert "# Runtime model v1" in text
    assert "it learned from 1,234 jobs of 2 logs" in text
    assert "| Alpha | 1,200 |" in text
    assert "- Alpha: Ann, Archive 2014" in text
    assert "- Beta" not in text
    assert "- MAE is 0.9" in text
    assert "xgboost, last2 propose" in text
    assert "import it first" in text


def test_a_fine_tuned_model_names_its_base_and_what_was_compared() -> None:
    candidates = {"base": {"mae_s": 1234.5, "ratio": 1.0}, "fine-tuned": {"mae_s": 99.5}}
    text = card(a_tuned(), [], candidates)
    assert "starting from the base model v1" in text
    assert "| base | 1,234 | 1.000 |" in text
    assert "| fine-tuned | 99.500 | – |" in text
    assert "starting from nothing" in card(a_tuned(base_version=None), [], {})


def test_lists_are_lists_and_paragraphs_stand_apart() -> None:
    text = card(a_base(), ["one.", "two."], {})
    assert "\n\n- one.\n- two.\n\n## Limits\n\n- " in text
    assert "\n\n\n" not in text
