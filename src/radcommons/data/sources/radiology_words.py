"""Words of radiology reports and public label sets: a message may repeat a label that consists of them only.

Any other word in a label column may be the name of a patient.
"""

import re
from typing import Final

LONG_WORD: Final = 7  # letters

_WORDS: Final = frozenset(
    """
    abnormal abnormality abscess acute adenocarcinoma adenopathy air airspace alveolar and aneurysm angle anterior aorta
    aortic apical ards artery artificial asbestosis ascending aspergillosis aspiration asthma atelectases atelectasis
    atheromatosis atypical azygos bacterial band basal bilateral blastic blunting body bone breast bronchial
    bronchiectasis bronchiolitis bronchitis bronchopneumonia bronchovascular bulla bullae button cage calcification
    calcified callous cancer carcinoma cardiac cardiomediastinum cardiomegaly catheter cavitation cavity central chamber
    changes chest chlamydophila chronic clavicle compression congestion consolidation copd costophrenic covid covid19
    cyst deformity degenerative density densities device diaphragm diaphragmatic diffuse dilatation disease distress
    dual edema effusion electrical elevation elongation embolism emphysema empyema endotracheal enlarged enlargement
    eventration failure fibrosis fibrotic fissure flattened focal foreign fracture fractures free fungal glass goiter
    granuloma granulomas ground gynecomastia haemothorax healed heart hemidiaphragm hemothorax hernia herpes hiatal
    hilar hilum humerus hydropneumothorax hyperinflation hypertension hypertrophy hypoinflation ild in increased
    infection infiltrate infiltrates infiltration inflammation influenza insufficiency interstitial klebsiella kyphosis
    laminar large left legionella lesion lesions linear lipoid lobar lobe loculated loss lower lung lungs
    lymphadenopathy lymphangitis lytic markings mass masses mastectomy material mediastinal mediastinum mers metal
    metastases metastasis middle mild miliary moderate multiple mycoplasma neoplasm nipple no nocardia nodular nodule
    nodules nsg obstructive oedema of old opacities opacity osteopenia osteoporosis other pacemaker pattern pericardial
    peribronchial perihilar plaque plaques pleura pleural pneumocystis pneumomediastinum pneumonia pneumonias
    pneumonitis pneumoperitoneum pneumothorax postoperative prosthesis pseudonodule pulmonary redistribution respiratory
    reticular rib ribs right round sars scar scarring sclerotic scoliosis sequelae severe shadow shift sign signs single
    small soft spine staphylococcus sternotomy streptococcus subcutaneous superior support suspected suture syndrome
    thickening thoracic tissue tortuous trachea tracheal tracheostomy trapping tube tuberculosis tumor tumour unilateral
    upper valve varicella vascular vein venous ventricular vertebral viral volume with
    """.split()  # noqa: SIM905
)


def is_radiology(text: str) -> bool:
    """Whether all words of a text are words of radiology; a single word must be long, because Small is also a name."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return (len(words) > 1 or len(text) >= LONG_WORD) and _WORDS.issuperset(words)
