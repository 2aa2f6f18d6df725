"""What a report shows of networks that were scored on puppets."""

from collections.abc import Mapping

from engine.animator import Animator
from engine.evaluation import rebuild
from engine.report import Run
from engine.strips import Shown, Strip, make_strip, worst_median_best
from tools.puppets.evaluation import Evaluated
from tools.puppets.pictures import puppet_look
from tools.puppets.reading import PuppetSet
from tools.puppets.words import report_numbers


def puppet_run(name: str, found: Evaluated, *, facts: Mapping[str, str], config: str) -> Run:
    """The rebuilt videos, and beside their metrics what only puppets can tell."""
    more = report_numbers(found.scores)
    return Run(name, found.rebuilt, more=more, facts=facts, config=config, notes=[])


def puppet_strips(found: Evaluated, animator: Animator, puppets: PuppetSet) -> list[Strip]:
    """The worst, median and best rebuilt test video, with what is true of its motion."""
    names = [score.name for score in found.rebuilt]
    paths = dict(zip(names, puppets.test, strict=True))
    strips = []
    for heading, score in worst_median_best(found.rebuilt):
        with puppets.open(paths[score.name]) as clip:
            pairs = ((rebuilt.prediction, rebuilt.truth) for rebuilt in rebuild(animator, clip))
            side = Shown("", pairs, puppet_look(animator, puppets, clip))
            strips.append(make_strip(heading, score, [side]))
    return strips
