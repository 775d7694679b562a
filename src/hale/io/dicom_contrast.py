"""Recognise the contrast of a DICOM series by its header: by its words, else by its times.

Words are those of the series description, else of the protocol name. Times decide where words say
nothing, and speak against words that they contradict. The limits (ms), for spin echoes:

============ ========== ========== ============ =====================================
contrast     TR         TE         TI
============ ========== ========== ============ =====================================
T1w          <= 1000    <= 30      none         short TR, short TE
T1w          any        <= 30      350 to 1300  T1-FLAIR; MPRAGE (a gradient echo)
PDw          2000-7000  <= 40      none         long TR, short TE
T2w          2000-7000  >= 70      none         long TR, long TE
FLAIR        >= 4000    >= 70      >= 1500      CSF nulled: TI = ln 2 T1 at long TR
============ ========== ========== ============ =====================================

Short and long TR and TE are those of Nitz and Reimer, "Contrast mechanisms in MR imaging", Eur
Radiol 1999;9:1032, TR widened for 3 T; the inversion of FLAIR is that of De Coene et al., AJNR
1992;13:1555, from 3-D variants (TI 1650 ms, TR 4800 ms) up; that of MPRAGE of Mugler and Brookeman,
Magn Reson Med 1990;15:152. Beyond TR 7000, T2w and a FLAIR whose header lacks its TI look the same.
Times between the limits, an inversion of unknown time, a gradient echo without inversion
(angiography and T2* have the same times as T1w) and echo-planar images decide nothing.
"""

import re

from hale.core.scan import Contrast
from hale.io.dicom_headers import Acquisition

BEFORE, AFTER = r"(?<![a-z0-9])", r"(?![a-z0-9])"
NO_SCAN = {
    "a localiser": r"loc|localis\w*|localiz\w*|scout|survey|3 ?plane|aahead\w*|smartbrain|topogram",
    "a calibration": r"cal|calib\w*|asset|ref ?scan|shim\w*|b[01] ?map|field ?map\w*",
    "a derived map": r"e?adc\w*|trace\w*|fa(?! ?\d)|colfa|mip|minip|r?cbv|cbf|mtt|ttp|tmax"
    r"|sub(?! ?\d)|subtr\w*|t[12]\*? ?map\w*|t1 ?rho\w*|r2\*? ?map",
    "diffusion": r"dwi\w*|dti\w*|diff\w*|resolve|b1000",
    "perfusion or function": r"perf\w*|p?c?asl|dsc|dce|pwi|bold|(rs ?)?fmri|rest(ing)?|epi|ep2d\w*",
    "angiography": r"tof\w*|mra|mrv|cta|ctv|angio\w*|pca|venc\w*|pc3d",
    "T2* or susceptibility": r"swi\w*|swan|t2 ?star\w*|t2\*\w*|hemo\w*|haemo\w*|qsm|venobold|medic",
    "spectroscopy": r"mrs|spectro\w*|svs|csi|press",
    "another weighting": r"stir|dir|psir|ciss|fiesta\w*|bffe|trufi\w*|mt|mtc|mp2rage\w*|inv[12]",
    "a screen save": r"screen ?sa?ve?|secondary capture|dose ?report|patient protocol",
}
AXES = r"(?:3d|2d|ax|sag|cor|tra|s|e)?"
FLAIR = r"\w*flair\w*|dark ?fl\w*|da ?fl"
T1 = rf"{AXES}t1([a-z]\w*)?|\w*mprage\w*|mp ?rage|bravo|i?r?fspgr\w*|spgr|tfl3d\w*"
T2 = rf"{AXES}t2([a-z]\w*)?"
PD = rf"{AXES}pdw?|proton ?density\w*|dp"
AGENT = r"\+ c|c \+|gd|gad\w*|post|ce|km|contrast|kontrast\w*|dotarem|enhanced|inj\w*"
NO_AGENT = r"pre|w ?/ ?o|without|ohne|nativ\w*|sans|unenhanced"
NO_AGENT += r"|non?(?= (?:contrast|gd|gad\w*|ce|km|iv))"
PURPOSE = {
    "T1": Contrast.T1W,
    "T2": Contrast.T2W,
    "PROTON_DENSITY": Contrast.PDW,
    "FLUID_ATTENUATED": Contrast.FLAIR,
}
UNTOLD = {(Contrast.FLAIR, Contrast.T2W), (Contrast.T1W, Contrast.PDW)}
"""What a contrast's times look like where the header leaves out its inversion."""
NOT_WEIGHTED = {"DIFFUSION", "FLOW_ENCODED", "PERFUSION", "STIR", "TAGGING", "T2_STAR", "TOF"}
PARTS = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}
"""In Image Type: an image of phase or of a component, not of magnitude."""


def recognise(said: Acquisition) -> tuple[Contrast | None, str]:
    """Return the contrast, None if there is none to be used, and in short how that is known."""
    if nothing := _no_scan(said):
        return None, nothing
    if said.modality == "CT":
        return Contrast.CT, "modality CT"
    named, words = _by_words(said)
    timed = by_times(said)
    if named is None and said.purpose in PURPOSE:
        named, words = PURPOSE[said.purpose], f"acquisition contrast {said.purpose}"
    if (named, timed) == (Contrast.T2W, Contrast.FLAIR):  # a FLAIR is a T2w with its CSF nulled
        named, words = timed, f"{words}, {_times(said)}"
    if named is None:
        named, words = timed, _times(said)
    if named is None:
        return None, f"neither name nor times decide ({words})"
    if named is Contrast.T1W and (agent := agent_of(said)):
        return Contrast.T1W_CE, f"{words}, {agent}"
    return named, words


def contradiction(said: Acquisition, contrast: Contrast | None) -> str | None:
    """Return a sentence if the times speak against a contrast that the words name."""
    plain = Contrast.T1W if contrast is Contrast.T1W_CE else contrast
    timed = None if said.modality == "CT" else by_times(said)
    if plain is None or timed is None or timed is plain:
        return None
    if said.inversion_ms is None and (plain, timed) in UNTOLD:
        return None
    return f"it is called {plain}, but its times are those of {timed} ({_times(said)})"


def by_times(said: Acquisition) -> Contrast | None:
    """Return what the times say by the table above, None where they decide nothing."""
    echo, repetition = said.echo_ms, said.repetition_ms
    if echo is None or repetition is None or not said.sequence or "EP" in said.sequence:
        return None
    inversion = said.inversion_ms or 0.0
    if echo <= 30 and 350 <= inversion <= 1300:
        return Contrast.T1W
    if "GR" in said.sequence:
        return None
    if echo >= 70 and inversion >= 1500 and repetition >= 4000:
        return Contrast.FLAIR
    return None if inversion or "IR" in said.sequence else _spin_echo(echo, repetition)


def _spin_echo(echo: float, repetition: float) -> Contrast | None:
    if repetition <= 1000:
        return Contrast.T1W if echo <= 30 else None
    if not 2000 <= repetition <= 7000 or 40 < echo < 70:
        return None
    return Contrast.PDW if echo <= 40 else Contrast.T2W


def agent_of(said: Acquisition) -> str | None:
    """Return how a contrast agent is known. Words beat the agent's field, which goes stale."""
    text = _plain(f"{said.description} {said.protocol}")
    if _holds(NO_AGENT, text):
        return None
    if _holds(AGENT, re.sub(r"post ?op\w*", " ", text)):
        return "contrast agent by its name"
    return f"contrast agent {said.agent!r}" if said.agent else None


def _no_scan(said: Acquisition) -> str | None:
    """Return what an image is that shows no anatomy of its own, None if it does."""
    kinds = {part.upper() for part in said.image_type}
    if "LOCALIZER" in kinds:
        return "a localiser, by its image type"
    if said.captured or "SCREEN SAVE" in kinds or said.modality not in ("MR", "CT"):
        return f"no scan, but a capture or an object of modality {said.modality or 'unknown'}"
    if said.colour:
        return "a colour picture"
    if kinds & PARTS:
        return "phase or a component, not magnitude"
    if said.diffusion or said.angiography or "EP" in said.sequence or said.purpose in NOT_WEIGHTED:
        return "diffusion, angiography or the like, by its header"
    return _no_scan_by_name(said)


def _no_scan_by_name(said: Acquisition) -> str | None:
    for text in (_plain(said.description), _plain(said.protocol)):
        for what, words in NO_SCAN.items():
            if _holds(words, text):
                return f"{what}, by its name"
        if _contrast_in(text) is not None:
            return None
    return None


def _by_words(said: Acquisition) -> tuple[Contrast | None, str]:
    for name, text in (("description", said.description), ("protocol name", said.protocol)):
        contrast = _contrast_in(_plain(text))
        if contrast is not None:
            return contrast, f"{name} {text!r}"
    return None, _times(said)


def _contrast_in(text: str) -> Contrast | None:
    """Return the one contrast that a name speaks of; T1 FLAIR is T1w, T2 FLAIR is FLAIR."""
    t1, t2, flair = (_holds(words, text) for words in (T1, T2, FLAIR))
    if t1 and t2:
        return None
    if t1:
        return Contrast.T1W
    if flair:
        return Contrast.FLAIR
    proton = _holds(PD, text)
    if t2 and proton:
        return None
    return Contrast.T2W if t2 else Contrast.PDW if proton else None


def _holds(words: str, text: str) -> bool:
    return re.search(f"{BEFORE}(?:{words}){AFTER}", text) is not None


def _plain(text: str) -> str:
    """Return lower case with separators as spaces; + * / stay, they mean something."""
    return re.sub(r"[^a-z0-9+*/]+", " ", text.lower().replace("+", " + "))


def _times(said: Acquisition) -> str:
    pairs = (("TR", said.repetition_ms), ("TE", said.echo_ms), ("TI", said.inversion_ms))
    told = [f"{name} {value:g}" for name, value in pairs if value is not None]
    times = f"{', '.join(told)} ms" if told else "times unknown"
    return f"{times}, {'/'.join(said.sequence) or 'sequence unknown'}"
