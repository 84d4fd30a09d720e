from dcgan_tf.commands import classifier
from tests.conftest import one_sentence


def refuse(*_):
    raise AssertionError("nothing is to be trained")


def test_help_is_printed_and_nothing_trained(run_main, monkeypatch):
    monkeypatch.setattr("dcgan_tf.evaluation.classifier.train_classifier", refuse)
    code, out, err = run_main(classifier, "--help")
    assert code == 0 and "usage: " in out and "--output" in out and err == ""


def test_a_file_of_another_kind_is_refused_before_the_training(run_main, monkeypatch):
    monkeypatch.setattr("dcgan_tf.evaluation.classifier.train_classifier", refuse)
    code, _, err = run_main(classifier, "--output=weights.h5")
    assert code == 1 and "weights.h5 is no .npz" in err and one_sentence(err)
