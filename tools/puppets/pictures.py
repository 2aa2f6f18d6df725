"""What networks see in a puppet, above what is true."""

from torch import Tensor

from engine.animator import Animator
from engine.clip import Clip
from engine.colouring import flow_picture, map_picture
from engine.inspection import inspect
from engine.strips import Look, Rows, inspected_rows
from tools.puppets.reading import PuppetSet
from tools.puppets.truth import backward_flow


def puppet_look(animator: Animator, puppets: PuppetSet, clip: Clip) -> Look:
    """Keypoints, flow and occlusion map of a test video's frames, and the true flow and map.

    Raises UserError if the set has no truth about the clip.
    """
    truth = puppets.truth(clip)

    def look(number: int, source: Tensor, driving: Tensor) -> Rows:
        found = inspect(animator, animator.encode(source), driving.unsqueeze(0))
        flow, visible = backward_flow(truth, source=0, driving=number)
        rows = dict(inspected_rows(found, driving))
        true_rows = {"true flow": flow_picture(flow), "true occlusion": map_picture(visible * 1.0)}
        ordered = {}
        for title, picture in rows.items():
            ordered[title] = picture
            if f"true {title}" in true_rows:
                ordered[f"true {title}"] = true_rows[f"true {title}"]
        return ordered

    return look
