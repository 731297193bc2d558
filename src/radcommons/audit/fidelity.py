"""Do labels do what they say? A classifier trained on real films looks at images drawn for each finding."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radcommons.audit.material import BALANCED, Material
from radcommons.metrics.bootstrap import auc_interval
from radcommons.metrics.classification import area_under_roc
from radcommons.models.extractors import extract
from radcommons.records import Estimate, Fidelity
from radcommons.seeds import derive, numpy_stream

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # label values of the curve
IMAGES = 64  # drawn at each, the same pseudo-patients


class Probe:
    """A classifier of one finding: logistic regression on an extractor's features of real films."""

    def __init__(self, features: np.ndarray, present: np.ndarray) -> None:
        """`features` (n, d) of training films, `present` bool (n,)."""
        regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=500)
        self._model = make_pipeline(StandardScaler(), regression).fit(features, present)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Probability that the finding is present, (n,)."""
        probability: np.ndarray = self._model.predict_proba(features)[:, 1]
        return probability


def fidelities(material: Material) -> list[Fidelity]:
    """Each finding with enough films of both kinds in training, held out, and among the balanced images."""
    found = []
    findings = material.subject.findings
    with material.track("Labels", total=len(findings), unit="findings") as advance:
        for column, finding in enumerate(findings):
            known = {name: ~np.isnan(material.films[name].labels[:, column]) for name in ("train", "test", BALANCED)}
            present = {name: material.films[name].labels[:, column] >= 0.5 for name in known}
            counts = [min((present[n] & known[n]).sum(), (~present[n] & known[n]).sum()) for n in known]
            if min(counts) >= material.settings.fewest:
                found.append(_fidelity(material, column, finding, known, present))
            advance(1)
    return found


def _fidelity(
    material: Material, column: int, finding: str, known: dict[str, np.ndarray], present: dict[str, np.ndarray]
) -> Fidelity:
    settings = material.settings
    rng = numpy_stream(settings.seed, "fidelity", finding)
    values = {name: material.features[name].values[known[name]] for name in known}
    shows = {name: present[name][known[name]] for name in known}
    probe = Probe(values["train"], shows["train"])

    def auc(name: str) -> Estimate:
        scores, groups = probe(values[name]), material.films[name].patients[known[name]]
        a, b = shows[name], ~shows[name]
        interval = auc_interval(scores[a], scores[b], groups[a], groups[b], redraws=settings.redraws, rng=rng)
        return Estimate(value=area_under_roc(scores[a], scores[b]), low=interval[0], high=interval[1])

    strengths: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    generator = material.subject.generator
    if generator is not None:
        seed = derive(settings.seed, "audit", "strength")
        drawn = [generator.generate(IMAGES, findings={finding: s}, seed=seed).images for s in STRENGTHS]
        looked = extract(material.extractor, np.concatenate(drawn)).values.reshape(len(STRENGTHS), IMAGES, -1)
        strengths, scores = STRENGTHS, tuple(float(probe(block).mean()) for block in looked)
    return Fidelity(
        finding=finding,
        positives=int(shows["train"].sum()),
        auc_real=auc("test"),
        auc_synthetic=auc(BALANCED),
        strengths=strengths,
        scores=scores,
    )
