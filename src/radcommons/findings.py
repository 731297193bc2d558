"""The vocabulary: one canonical name per finding, in torchxrayvision's spelling, and its synonyms.

A label is 1 present, 0 absent or None unknown. "No Finding" has its own name because CheXpert labels it; in a list such
as ``Effusion|Mass`` it means the empty list.
"""

import re

from radcommons.errors import FindingUnknown, nearest

NO_FINDING = "No Finding"

# Paper section 7, in its order.
NIH: tuple[str, ...] = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
CHEXPERT: tuple[str, ...] = (
    NO_FINDING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
# Further names of torchxrayvision's data sets, and Kermany's two kinds of pneumonia.
OTHERS: tuple[str, ...] = (
    "Bacterial", "Viral", "COVID-19", "Tuberculosis", "Air Trapping", "Aortic Atheromatosis", "Aortic Elongation",
    "Bronchiectasis", "Calcification", "Costophrenic Angle Blunting", "Flattened Diaphragm", "Granuloma",
    "Hemidiaphragm Elevation", "Hilar Enlargement", "Scoliosis",
)  # fmt: skip
VOCABULARY: tuple[str, ...] = tuple(dict.fromkeys((*NIH, *CHEXPERT, *OTHERS)))

ALIASES: dict[str, str] = {
    "Normal": NO_FINDING,
    "Healthy": NO_FINDING,
    "No Findings": NO_FINDING,
    "Pleural Effusion": "Effusion",
    "Oedema": "Edema",
    "Pulmonary Edema": "Edema",
    "Enlarged Heart": "Cardiomegaly",
    "Airspace Opacity": "Lung Opacity",
    "Fractures": "Fracture",
    "Hiatal Hernia": "Hernia",
    "Bacterial Pneumonia": "Bacterial",
    "Viral Pneumonia": "Viral",
    "COVID": "COVID-19",
    "Pulmonary Fibrosis": "Fibrosis",
    "TB": "Tuberculosis",
}
SPELLINGS: dict[str, str] = {name: name for name in VOCABULARY} | ALIASES  # canonical names and synonyms


def folded(name: str) -> str:
    """`name` without case, spaces, underscores, hyphens and full stops; "Mass?" is not "Mass"."""
    return re.sub(r"[\s_.\-\u2010-\u2013]+", "", name).casefold()


BY_FOLDED: dict[str, str] = {folded(spelling): name for spelling, name in SPELLINGS.items()}


def canonical_or_none(name: str) -> str | None:
    """The canonical name of a finding, or None if it is not in the vocabulary."""
    return BY_FOLDED.get(folded(name))


def canonical(name: str) -> str:
    """The canonical name of a finding; raises FindingUnknown with the nearest name.

    The message does not repeat a value that does not look like a finding (digits, no near name): a wrong column may
    contain identifiers.
    """
    known = canonical_or_none(name)
    if known is not None:
        return known
    close = nearest(folded(name), BY_FOLDED)
    if close is not None:
        raise FindingUnknown(f"finding '{name}' is not known; the nearest is '{BY_FOLDED[close]}'")
    looks_like_a_word = len(name) <= 40 and re.fullmatch(r"[^\W\d_]+(?:[ _\-][^\W\d_]+)*", name) is not None
    shown = f"finding '{name}'" if looks_like_a_word else f"a finding of {len(name)} characters"
    raise FindingUnknown(f"{shown} is not known; known are {', '.join(VOCABULARY)}")


def canonical_list(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Canonical names of `names` in order; all unknown ones, and any repeated one, in one FindingUnknown."""
    result: list[str] = []
    faults: list[str] = []
    for name in names:
        try:
            found = canonical(name)
        except FindingUnknown as error:
            faults.append(str(error))
            continue
        if found in result:
            faults.append(f"finding '{found}' is named twice")
        result.append(found)
    if faults:
        raise FindingUnknown("; ".join(faults))
    return tuple(result)
