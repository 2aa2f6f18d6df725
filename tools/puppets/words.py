"""The scores of puppets, for people and for programs."""

from engine.words import counted
from tools.puppets.reading import PuppetSet
from tools.puppets.scoring import MotionScore, PictureScore, Scores, judge, ratio

TRIPLES_REMEDY = "make a set that has some with tools/make_puppets.py --transfer 20 --out ANOTHER"


def as_dict(scores: Scores) -> dict[str, object]:
    """All figures, for a JSON file; `transfer` is None where there was nothing to transfer."""
    keypoints = scores.keypoints
    transfer = {sense: with_ratio(result) for sense, result in scores.transfer.items()}
    return {
        "reconstruction": with_ratio(scores.reconstruction),
        "transfer": transfer or None,
        "keypoints": keypoints._asdict()
        | {"joints": [joint._asdict() for joint in keypoints.joints]},
        "motion": None if scores.motion is None else scores.motion._asdict(),
        "goals": [{**goal._asdict(), "met": goal.met} for goal in judge(scores)],
    }


def with_ratio(result: PictureScore) -> dict[str, float | None]:
    return {**result._asdict(), "ratio": ratio(result)}


def print_scores(scores: Scores, puppets: PuppetSet) -> None:
    """Print every figure, and last of each whether it meets its goal."""
    videos, motions = counted(len(puppets.test), "video"), counted(len(puppets.triples), "motion")
    print(f"reconstruction of {videos}: {in_words(scores.reconstruction)}")
    for sense, result in scores.transfer.items():
        print(f"{sense} transfer of {motions}: {in_words(result)}")
    if not scores.transfer:
        print(f"transfer: skipped, {puppets.folder} has no triples; {TRIPLES_REMEDY}")
    found = scores.keypoints
    print(
        f"keypoints: {found.share:.1%} of {counted(found.visible, 'visible joint')} found in "
        f"{counted(found.test_frames, 'frame')}; by the mean pose of "
        f"{counted(found.train_frames, 'training frame')}: {found.constant_share:.1%}"
    )
    for joint in found.joints:
        print(f"  {joint.name:<14} {joint.share:6.1%} of {joint.visible}")
    print_motion(scores.motion)
    for goal in judge(scores):
        bound = f"at {'most' if goal.at_most else 'least'} {goal.bound:g}"
        print(f"goal {goal.name}: {goal.value:.4f}, {bound}: {'met' if goal.met else 'not met'}")


def print_motion(motion: MotionScore | None) -> None:
    if motion is None:
        print("flow: skipped, these networks predict none")
        return
    print(
        f"flow to the first frame, off by: {motion.epe:.3f} pixels; standing still: "
        f"{motion.still_epe:.3f}; on the figure: {motion.figure_epe:.3f} and "
        f"{motion.figure_still_epe:.3f}"
    )
    if motion.occlusion_auc is None:
        print("occlusion: skipped, these networks predict no map, or nothing is hidden")
    else:
        print(f"occlusion map: area under the ROC curve {motion.occlusion_auc:.3f}")


def report_numbers(scores: Scores) -> dict[str, str]:
    """What a report says beside the metrics of the rebuilt videos."""
    numbers = {}
    for sense, result in scores.transfer.items():
        numbers[f"{sense} transfer L1"] = f"{result.l1:.4f}"
        numbers[f"{sense} transfer PSNR dB"] = f"{result.psnr:.2f}"
        numbers[f"{sense} transfer SSIM"] = f"{result.ssim:.4f}"
    numbers["joints found"] = f"{scores.keypoints.share:.1%}"
    if scores.motion is not None:
        numbers["flow EPE on figures"] = f"{scores.motion.figure_epe:.2f} px"
        numbers["flow EPE"] = f"{scores.motion.epe:.2f} px"
        if scores.motion.occlusion_auc is not None:
            numbers["occlusion ROC AUC"] = f"{scores.motion.occlusion_auc:.3f}"
    return numbers


def in_words(result: PictureScore) -> str:
    text = f"L1 {result.l1:.4f}; copying: {result.copy_l1:.4f}; ratio {ratio(result):.3f}"
    text += f"; PSNR {result.psnr:.2f} dB; SSIM {result.ssim:.4f}"
    return text if result.temporal is None else f"{text}; temporal {result.temporal:.4f}"
