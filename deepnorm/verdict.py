"""What can be concluded from an analysis, in a sentence: the page and the terminal begin so."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from deepnorm.quantities import of_analysis
from deepnorm.words import covered, plain, power_of_ten, rounded
from replica.scaling import Analysis, Estimate, Kind, Regimes

__all__ = [
    "NO_RANGE",
    "Conclusion",
    "Verdict",
    "difference",
    "no_elbows",
    "no_law",
    "no_prediction",
    "number",
    "power_of_P",
    "seen",
    "thresholds",
    "verdict",
]

#: So many P have to show the early law, docs/scaling.md, section 4.
FEWEST_SEEN = 3
#: Of a difference that choices explain.
WITHIN = ", within the systematic error"


class Conclusion(enum.StrEnum):
    """Which exponents of the test error, or of the loss, can be concluded."""

    COMPARED = "predicted and measured"
    MEASURED = "measured only"
    PREDICTED = "predicted only"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Verdict:
    """What can be concluded.

    Attributes
    ----------
    conclusion : Conclusion
    sentence : str
        In words; errors are the statistical and the systematic one, added in quadrature.
    no_prediction : str
        Why gamma_pred is no prediction, even where it has a value; empty where it is one.
    """

    conclusion: Conclusion
    sentence: str
    no_prediction: str = ""


def verdict(analysis: Analysis) -> Verdict:
    """What can be concluded about the exponent of the error, or of the loss, at the optimum.

    gamma_pred counts as a prediction as far as `no_prediction` has nothing against it, and is then
    compared with gamma_meas.
    """
    against, measured = no_prediction(analysis), analysis.gamma_meas
    unmeasured = measured.reason or ("" if math.isfinite(measured.value) else "it has no value")
    if against and unmeasured:
        reasons = dict.fromkeys((unmeasured, against))
        sentence = f"Nothing can be concluded: {'; '.join(reasons)}."
        return Verdict(Conclusion.NOTHING, sentence, against)
    if against:
        fall = _lower(_fall(analysis))
        sentence = (
            f"Only the measured exponent can be concluded: {fall}. "
            f"There is no prediction, because {against}."
        )
        return Verdict(Conclusion.MEASURED, sentence, against)
    predict = f"{_sources(analysis)} predict {number(analysis.gamma_pred)}"
    if unmeasured:
        sentence = (
            f"Only the predicted exponent can be concluded: {predict}{_doubts(analysis)}. "
            f"There is no measurement, because {unmeasured}."
        )
        return Verdict(Conclusion.PREDICTED, sentence)
    apart = difference(analysis)
    if apart:
        disagree = Kind.DISAGREEMENT in _kinds(analysis) and not apart.endswith(WITHIN)
        predict += f", which disagrees: {apart}" if disagree else f" ({apart})"
    return Verdict(Conclusion.COMPARED, f"{_fall(analysis)}; {predict}{_doubts(analysis)}.")


def no_prediction(analysis: Analysis) -> str:
    """Why gamma_pred is no prediction; empty where it is one.

    It is none where it has no value, where there is no early law (`no_law`), and where elbows take
    the place of optima and bear no exponent themselves (`no_elbows`).
    """
    predicted = analysis.gamma_pred
    if predicted.reason:
        return predicted.reason
    if not math.isfinite(predicted.value):
        return "gamma_pred has no value"
    by_elbow = analysis.settings["gamma_2_of"] == "elbows"
    return no_elbows(analysis) if by_elbow else no_law(analysis)


def no_elbows(analysis: Analysis) -> str:
    """Why no exponent of the elbows can be concluded; empty where one can.

    An elbow is the end of an early law. There has to be one (`no_law`), and at least three of the P
    whose elbows are used have to show it before.
    """
    against, unseen = no_law(analysis), _kinds(analysis).get(Kind.EARLY_LAW_UNSEEN, ())
    if against or not unseen:
        return against
    table, first = analysis.optima, analysis.settings["gamma_2_from"] or 0
    with_elbow = table.loc[np.isfinite(table["log_elbow"]) & (table["P"] >= first), "P"].tolist()
    if _seen(with_elbow, unseen) < FEWEST_SEEN:
        return _too_few(with_elbow, unseen, "whose elbows are used")
    return ""


def no_law(analysis: Analysis) -> str:
    """Why no early law that all P share can be concluded; empty where one can.

    It has to describe the curves within their noise, not to move with P, and to be seen at three P
    of those that it was fitted to.
    """
    flags = _kinds(analysis)
    if analysis.gamma_1.reason:
        return analysis.gamma_1.reason
    if Kind.POOR_LAW in flags:
        return "no window holds an early power law, common to all P, within the noise of the curves"
    if Kind.DRIFTING_LAW in flags:
        return "the curves share no early law that is the same for all P"
    if Kind.SHORT_WINDOW in flags:
        return "the early law is straight over less than half a decade of the norm"
    unseen = flags.get(Kind.EARLY_LAW_UNSEEN, ())
    if analysis.joint is None or not unseen:
        return ""
    took_part = analysis.joint.P.tolist()
    if _seen(took_part, unseen) < FEWEST_SEEN:
        return _too_few(took_part, unseen, "that took part")
    return ""


def seen(analysis: Analysis) -> str:
    """At how many P the early law is seen; empty where at all that it was fitted to."""
    unseen = _kinds(analysis).get(Kind.EARLY_LAW_UNSEEN, ())
    if analysis.joint is None or not unseen:
        return ""
    P = analysis.joint.P.tolist()
    return f"seen at only {_seen(P, unseen)} of {len(P)} P"


def difference(analysis: Analysis) -> str:
    """How far prediction and measurement lie apart; empty where there is nothing to compare."""
    distance, parts = analysis.difference, (analysis.gamma_pred, analysis.gamma_meas)
    if math.isnan(distance) or no_prediction(analysis):
        return ""
    gap = parts[0].value - parts[1].value
    text = f"{abs(distance):.2g} statistical standard errors apart"
    if covered(gap, distance, *(part.systematic for part in parts)):
        text += WITHIN
    return text


#: How a range of P is refused.
NO_RANGE = "no range of P with a power law can be given"


def power_of_P(analysis: Analysis) -> str:
    """Between which P the error at the optimum is a power of P, or why none can be given."""
    against = no_prediction(analysis)  # the combined law has the predicted exponent
    if against:
        return f"{NO_RANGE}: {against}"
    if analysis.regimes is None:
        return f"{NO_RANGE}: these curves do not determine the offsets of eq. (6)"
    return thresholds(analysis.regimes, of_analysis(analysis).short)


def thresholds(regimes: Regimes, what: str = "error") -> str:
    """The range in which the error, or the loss, is a power of P by the combined law alone.

    An end is the threshold where its offset is found, else the threshold's 95% limit, the least
    that the data allow. There is no range where the combined law does not fall with P, where an
    end is 0 or inf, or where the lower one is not below the upper one.
    """
    exponent = regimes.gamma_1 * regimes.gamma_2
    if not exponent > 0:
        return f"{NO_RANGE}: eq. (6) does not fall with P, gamma_1 gamma_2 = {exponent:.2g}"
    plateau, floor = regimes.P_minus > 0, math.isfinite(regimes.P_plus)
    low = regimes.P_minus if plateau else regimes.P_minus_high
    high = regimes.P_plus if floor else regimes.P_plus_low
    if not low < math.inf:
        return f"{NO_RANGE}: the data do not exclude that all P lie on the plateau of few examples"
    if not high > 0:
        return f"{NO_RANGE}: the data do not exclude that all P lie on the floor"
    if low >= high:
        reaches, begins = ("reaches", "begins") if plateau and floor else ("may reach", "may begin")
        return (
            f"{NO_RANGE}: the plateau of few examples {reaches} up to {_count(low)}, and the "
            f"floor {begins} at {_count(high)}"
        )
    # exp of a large logarithm may be 0 or inf: an end that is nowhere near
    begin = f"above P_- {'=' if plateau else '<'} {_count(low)}" if low > 0 else ""
    end = f"below P_+ {'=' if floor else '>'} {_count(high)}" if high < math.inf else ""
    if not (begin or end):
        return f"the {what} at the optimum is a power of P: an offset is neither found nor allowed"
    limits = "" if plateau and floor else " (an inequality is a 95% limit: no such offset is found)"
    where = " and ".join(filter(None, (begin, end)))
    return f"the {what} at the optimum is a power of P {where}{limits}"


def _count(P: float) -> str:
    """A number of examples, of any size."""
    parts = power_of_ten(math.log(P))
    return plain(parts) or f"{parts[0]}e{parts[1]}"


def _kinds(analysis: Analysis) -> dict[str, tuple[float, ...]]:
    """The kinds of flags, and the P that each names."""
    return {flag.kind: flag.P for flag in analysis.flags}


def _seen(P: list[float], unseen: tuple[float, ...]) -> int:
    return len(set(P) - set(unseen))


def _too_few(P: list[float], unseen: tuple[float, ...], which: str) -> str:
    count_seen = f"only {many}" if (many := _seen(P, unseen)) else "none"
    return (
        f"the early law is seen at {count_seen} of the {len(P)} P {which}, "
        f"and at least {FEWEST_SEEN} are needed"
    )


def number(estimate: Estimate) -> str:
    """An exponent with its total error."""
    value, error = rounded(estimate.value, estimate.total)
    return value if error == "-" else f"{value} +- {error}"


def _fall(analysis: Analysis) -> str:
    """The measured exponent as a law of the test error, or of the loss."""
    at_end, measured = analysis.optima["at_end"], analysis.gamma_meas
    of = of_analysis(analysis)
    name = of.error
    what = f"The {name} at the optimum"
    if not of.abscissa:
        what = f"The {name}"
    elif at_end.all():
        what = f"The {name} at the end of training, since no curve has its minimum before,"
    elif at_end.any():
        what = (
            f"The lowest {name}, at {int(at_end.sum())} of {len(at_end)} P that of the end of "
            "training,"
        )
    if measured.low <= 0 <= measured.high:
        return f"{what} shows no fall with P: its exponent is {number(measured)}"
    if measured.value < 0:
        return f"{what} rises with P: its exponent is {number(measured)}"
    return f"{what} falls as P^-{number(measured)}"


def _sources(analysis: Analysis) -> str:
    """What the prediction is made with."""
    by_elbow = analysis.settings["gamma_2_of"] == "elbows"
    return f"the early law and the growth of the norm{' at the elbow' if by_elbow else ''}"


def _doubts(analysis: Analysis) -> str:
    """What weakens a prediction that is one."""
    flags, predicted, found = _kinds(analysis), analysis.gamma_pred, []
    if seen(analysis):
        found.append(f"the early law is {seen(analysis)}")
    if Kind.DRIFT in flags:
        found.append(
            f"the early law moves with P (drift {number(analysis.drift)}), which is left out"
        )
    if predicted.total >= abs(predicted.value):
        found.append("the error of the prediction is as large as the prediction itself")
    return f"; but {', and '.join(found)}" if found else ""


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
