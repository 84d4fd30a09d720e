"""Links in the documents have targets, and the commands in them parse."""

import re
import shlex
import unicodedata

import pytest

from dcgan_tf.__main__ import COMMANDS
from dcgan_tf.commands.evaluate import EvaluateFlags
from dcgan_tf.commands.export import ExportFlags
from dcgan_tf.commands.features import FeatureFlags
from dcgan_tf.commands.flags import parse_given
from dcgan_tf.commands.sample import SampleFlags
from dcgan_tf.commands.tfrecords import TFRecordFlags
from dcgan_tf.commands.train import TrainFlags
from dcgan_tf.commands.web import WebFlags
from dcgan_tf.evaluation.scores import METRICS
from dcgan_tf.settings.choices import AUGMENTATIONS, LOSSES, PENALTIES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.presets import PRESETS
from tests.conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("dcgan_tf/**/*.md")]
FLAGS = {
    "train": (Config, TrainFlags),
    "sample": (SampleFlags,),
    "evaluate": (EvaluateFlags,),
    "features": (FeatureFlags,),
    "export": (ExportFlags,),
    "web": (WebFlags,),
    "tfrecords": (Config, TFRecordFlags),
}


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def anchors(text):
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text), re.MULTILINE)
    kept = (
        "".join(c for c in heading.lower() if c in "-_ " or unicodedata.category(c)[0] in "LN")
        for heading in headings
    )
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_somewhere(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    broken = []
    for link in filter(None, (link for pair in links for link in pair)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def commands_in(text):
    """What the text tells the reader to type, as lists of arguments after `dcgan`."""
    lines = re.findall(r"`((?:dcgan|python train\.py|python sample\.py) [^`]+)`", text)
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```", text):
        lines += re.findall(r"^(?:dcgan|python train\.py|python sample\.py) .*$", block, re.M)
    for line in lines:
        line = re.sub(r"^python (\w+)\.py", r"dcgan \1", line)
        line = line.replace("…", "").partition(" && ")[0]
        _, name, *arguments = shlex.split(line, comments=True)
        if name in COMMANDS:
            yield name, arguments


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_can_be_given(page):
    for name, arguments in commands_in(page.read_text()):
        if arguments != ["--help"]:
            parse_given(None, *FLAGS[name], argv=[name, *arguments])


def test_commands_are_found_and_wrong_ones_are_errors():
    assert {*FLAGS} == {*COMMANDS}
    found = [each for page in PAGES for each in commands_in(page.read_text())]
    assert len(found) > 80 and {name for name, _ in found} == {*COMMANDS}
    with pytest.raises(Exception, match="no_such_flag"):
        parse_given(None, *FLAGS["train"], argv=["train", "--no_such_flag=1"])


def test_every_choice_is_on_the_page_of_its_kind():
    rows = {
        "commands": [*LOSSES, *AUGMENTATIONS, *(f"--{name}" for name in PENALTIES)],
        "sources": PRESETS,
        "evaluation": [metric.label.split(" × ")[0].strip() for metric in METRICS.values()],
    }
    for page, expected in rows.items():
        text = " ".join((ROOT / f"docs/{page}.md").read_text().lower().split())
        assert [row for row in expected if row.lower() not in text] == []
