"""Tables of the words and codes that `views` knows. Case, accents and punctuation of a phrase do not matter. Languages:
English, German, French, Spanish, Italian, Dutch, Portuguese, and the most common words of some others.
"""

from typing import Final

# Names of views in reasons. PA, AP and FRONTAL are accepted, all others refused.
PA, AP, FRONTAL = "PA", "AP", "frontal"
LATERAL, DECUBITUS, OBLIQUE = "lateral view", "lateral decubitus view", "oblique view"
LORDOTIC, SWIMMERS, SECTION, SCOUT = "lordotic or apical view", "swimmer's view", "section image", "scout image"
NOT_FRONTAL, EXCLUDED = "not a frontal view", "marked to be excluded"

VIEWS: Final = {
    PA: "pa, p a, post ant, postero ant, postero anterior, posteroanterior, posterior anterior, postero anteriore, "
    "posteroanteriore, postéro antérieur, postéro antérieure, posteroanterieur, posteroanterieure, "
    "postero-anterieur, dorsoventral, dorso ventral, dv, d v, achtervoorwaarts, achter voorwaarts, back to front",
    AP: "ap, a p, ant post, antero post, antero posterior, anteroposterior, anterior posterior, antero posteriore, "
    "anteroposteriore, antéro postérieur, antéro postérieure, anteroposterieur, anteroposterieure, ventrodorsal, "
    "ventro dorsal, vd, v d, voorachterwaarts, voor achterwaarts, front to back",
    FRONTAL: "frontal, frontale, frontaal, front, face, de face, frente, de frente, di fronte, en face, прямая, "
    "прямой, przednia, önden, 正位, 正面, 胸部正位, 胸部正面",
    LATERAL: "lateral, lat, laterals, laterale, lateraal, lateralis, laterales, latéral, látero, l lat, r lat, "
    "lt lat, rt lat, llat, rlat, ltlat, rtlat, latl, latr, latll, latrl, leftlat, rightlat, latleft, latright, "
    "xtlat, aplat, palat, latero lateral, laterolateral, latero laterale, laterolaterale, ll, rl, l l, r l, profil, "
    "profile, de profil, perfil, de perfil, profilo, seitlich, seitliche, seitliches, seitl, seitenaufnahme, "
    "seitenbild, zijdelings, zijdelingse, dwars, dwarse, sida, sidobild, cross table, crosstable, xtable, x table, "
    "crosstabla, боковая, боковой, boczne, boczna, yan, 侧位, 側位, 側面, 胸部侧位, 胸部側面",
    DECUBITUS: "lateral decubitus, lat decubitus, lat decub, lat dec, decubitus lateral, decub lat, "
    "décubitus latéral, decúbito lateral, decubito laterale, decubitus, decub, decubs, decubito, lld, rld, lldecub, "
    "rldecub, llat decub, rlat decub, seitenlage, linksseitenlage, rechtsseitenlage, zijligging",
    OBLIQUE: "oblique, latero medial oblique, lateral oblique, medio lateral oblique, medial oblique, obliques, obl, "
    "oblicua, oblicuo, obliqua, obliquo, obliquus, oblíqua, schräg, schraeg, schrägaufnahme, schraegaufnahme, "
    "schuin, schuine, rao, lao, rpo, lpo, rlo, llo, fechter, mlo",
    LORDOTIC: "lordotic, lordótica, lordótico, lordotica, lordotique, lordotisch, ap axial, pa axial, axial ap, "
    "apical, apikal, apicale, apicogram, lungenspitzen, spitzenaufnahme",
    SWIMMERS: "swimmers, swimmer, swimmer s, schwimmer",
    SECTION: "axial, axiale, axiaal, transversal, transverse, coronal, coronale, koronar, sagittal, sagittale, "
    "sagital, tomo, tomogram, tomosynthesis, ct, cta, hrct, mr, mri, mrt, pet",
    SCOUT: "scout, localizer, localiser, topogram, scanogram",
    NOT_FRONTAL: "tangential, tangentiel, transthoracic, cranio caudal, craniocaudal, caudo cranial, cc, ml, lm, "
    "lateral medial, latero medial, medial lateral, medio lateral, waters, towne, caldwell, open mouth, odontoid, "
    "sunrise, skyline, frog leg, frogleg, mortise, grashey, y view, scapular y, orbitoparietal, parieto orbital, "
    "acanthioparietal, parietoacanthial, submentovertical, verticosubmental, dorsoplantar, plantodorsal, occlusal, "
    "panoramic, specimen, tissue specimen, 3d, reconstruction",
    EXCLUDED: "exclude, excluded, reject, rejected",
}

CHEST: Final = "chest"
BODY_PARTS: Final = {
    CHEST: "chest, thorax, torax, tórax, torace, toracica, thoracique, thoracic, thx, lung, lungs, lunge, lungen, "
    "pulmo, pulmon, pulmón, pulmones, pulmão, pulmões, polmone, polmoni, poumon, poumons, longen, heart, herz, cor, "
    "coeur, cœur, corazón, cuore, coração, mediastinum, bronchus, herz lunge, borstkas, brustkorb, cxr, rxt, pecho, "
    "грудная клетка, klatka piersiowa, hrudník, göğüs, akciğer, 胸, 胸部",
    "chest and abdomen": "chestabdomen, chest abdomen, chest abd, chest and abdomen, thoraxabdomen, thorax abdomen, "
    "chestabdpelvis, chest abdomen pelvis, chest abdomen and pelvis, neck and chest, neckchest, neckchestabdomen, "
    "neckchestabdpelv",
    "abdomen": "abdomen, abdominal, abd, abdomin, kub, bauch, ventre, addome, buik, abdome, abdômen, asp, barium, "
    "esophagus, oesophagus, stomach, colon, duodenum, bladder, kidney, kidneys, urinary tract, gallbladder",
    "pelvis": "pelvis, pelvic, becken, bassin, bacino, bekken, pelve, bacia, beckenübersicht, beckenuebersicht, "
    "abdomenpelvis, abdomen and pelvis",
    "hip": "hip, hips, hip joint, hüfte, huefte, hüftgelenk, hanche, cadera, anca, heup, quadril",
    "spine": "spine, cspine, c spine, tspine, t spine, lspine, l spine, ls spine, lsspine, sspine, ctspine, tlspine, "
    "cervical spine, lumbar spine, thoracic spine, dorsal spine, thoracic vertebrae, cervical, lumbar, lumbosacral, "
    "thoracolumbar, columna, colonne, rachis, wirbelsäule, wirbelsaeule, brustwirbelsäule, brustwirbelsaeule, "
    "lendenwirbelsäule, lendenwirbelsaeule, halswirbelsäule, halswirbelsaeule, hws, bws, lws, wervelkolom, rachide, "
    "coluna, sacrum, coccyx, scoliosis, vertebra, vertebrae",
    "skull": "skull, cranium, schädel, schaedel, crâne, cráneo, cranio, crânio, schedel, head, headneck, kopf, tête, "
    "cabeza, testa, hoofd, cabeça, sinus, sinuses, paranasal sinus, pns, nnh, facial bones, facial, nasal bone, "
    "nose, orbit, orbits, mandible, maxilla, jaw, zygoma, mastoid, tmj, teeth, dental, brain, eye",
    "neck": "neck, hals, cou, cuello, collo, nek, pescoço, larynx, thyroid, trachea",
    "shoulder": "shoulder, shoulders, schulter, épaule, hombro, spalla, schouder, ombro, acromioclavicular, "
    "acromioclavicular joint, scapula, schulterblatt, omoplate, ac joint, ac joints, clavicle, clavicula, clavícula, "
    "clavicola, clavicule, schlüsselbein, schluesselbein, sternoclavicular, sternoclavicular joint",
    "sternum": "sternum, esternón, esterno, brustbein",
    "ribs": "rib, ribs, costal, costales, rippe, rippen, côte, côtes, gril costal, costa, coste, costelle, costilla, "
    "costillas, costela, costelas, ribben, ribcage, rib cage, rippenthorax, hemithorax, knöcherner thorax, "
    "knoecherner thorax, parrilla costal, arcos costais",
    "arm": "arm, arms, upper arm, humerus, forearm, elbow, ellenbogen, coude, codo, gomito, elleboog, cotovelo, "
    "unterarm, oberarm, radius, ulna, upper limb, upper extremity, avambraccio, antebrazo",
    "hand": "hand, hands, main, mano, mão, hände, haende, wrist, wrist joint, handgelenk, poignet, muñeca, polso, "
    "pols, punho, finger, fingers, thumb, daumen, doigt, dedo, scaphoid, bone age",
    "leg": "leg, legs, femur, fémur, thigh, knee, knees, knie, genou, rodilla, ginocchio, joelho, tibia, tibfib, "
    "tib fib, fibula, lower leg, unterschenkel, oberschenkel, patella, lower limb, lower extremity, bein, beine, "
    "pierna, gamba",
    "foot": "foot, feet, fuß, fuss, füße, pied, pie, piede, voet, ankle, ankles, ankle joint, sprunggelenk, "
    "cheville, tobillo, caviglia, enkel, tornozelo, toe, toes, calcaneus, heel, os calcis",
    "breast": "breast, breasts, mamma, mammo, mammography, mammographie, sein, seins, mammella",
    "whole body": "whole body, wholebody, entire body, extremity, extremities, long bones, long bone, babygram, "
    "trunk, skeletal survey",
    "phantom": "phantom, test pattern, quality control",
}
# "face" is a frontal view in French and a body part in English; which, the field says.
ONLY_AS_BODY_PART: Final = {"skull": "face, nose, eye"}

# A word that is not listed above is read by these beginnings, middles and ends: LATEROLATERALIS, OBLIQUES.
STEMS: Final = {LATERAL: "lateral", DECUBITUS: "decubit", OBLIQUE: "obliqu", LORDOTIC: "lordoti"}
NOT_BY_STEM: Final = (
    "bilateral, bilaterale, bilateraal, bilaterally, unilateral, unilaterale, unilateraal, collateral, kollateral, "
    "contralateral, kontralateral, ipsilateral, bilaterales, bilateralis"
)

NEUTRAL: Final = (
    "view, views, vw, v, projection, projectie, proyección, proiezione, projeção, incidence, incidencia, proj, "
    "position, pos, image, img, film, bild, aufnahme, übersicht, xr, xray, x ray, cr, dx, dr, dig, digital, rx, "
    "rg, radiograph, radiography, radiografia, radiografía, radiographie, röntgen, roentgen, rö, radiologie, erect, "
    "erec, upright, uprt, standing, stand, sitting, sit, seated, semi, semierect, semi erect, semiupright, supine, "
    "sup, supin, prone, recumbent, lying, flat, liegend, liegen, lieg, stehend, stehen, steh, sitzend, sitzen, bett, "
    "bettlunge, bettaufnahme, bedside, bed, portable, port, portabl, mobile, mobil, móvil, portátil, portatil, "
    "portatile, debout, couché, assis, assise, lit, au lit, de pie, bipedestación, sentado, acostado, supino, "
    "decúbito supino, decúbito dorsal, décubitus dorsal, dorsal decubitus, decubito dorsale, decubito supino, supine "
    "decubitus, decubitus supine, ortostatismo, ortostático, ortostatico, clinostatismo, clinostatico, seduto, "
    "letto, a letto, leito, em pé, em pe, de pé, liggend, staand, zittend, bedfoto, horizontal, vertical, "
    "inspiration, inspiratory, insp, inspiracion, inspirazione, inspiração, expiration, expiratory, exp, expir, "
    "espiración, espirazione, expiração, inspirium, exspirium, inspir, grid, nogrid, bucky, wall, wand, wandstativ, "
    "rasterwand, table, detector, adult, adults, adulto, erwachsene, adulte, child, children, kind, kinder, niño, "
    "enfant, pediatric, paediatric, pediatrics, pediátrico, ped, peds, paed, infant, newborn, neonate, neo, baby, "
    "icu, er, ed, ward, single, one, only, routine, standard, normal, std, low, high, dose, kv, deg, degree, "
    "degrees, cm, inch, ft, medium, large, small, with, w, without, wo, mit, ohne, avec, sans, con, com, sin, senza, "
    "met, zonder, de, la, le, di, del, della, do, da, der, des, the, of, in, im, and, und, et, y, e, en, for, a, al, "
    "au, no, am"
)
SIDES: Final = (
    "l, r, lt, rt, left, right, links, rechts, li, re, gauche, droite, droit, izquierda, izquierdo, derecha, "
    "derecho, sinistra, sinistro, destra, destro, esquerda, direita"
)
ABSENT: Final = (
    "unknown, unk, none, na, n a, nan, null, nil, not specified, unspecified, undefined, not applicable, missing, "
    "unbekannt, inconnu, inconnue, desconocido, desconocida, sconosciuto, onbekend, desconhecido, not available"
)

# Words too short or too common to decide where anything may be written, such as a series description.
NOT_IN_TEXT: Final = (
    "rl, l l, r l, cc, ml, lm, dv, vd, d v, v d, front, sida, yan, profile, apical, head, arm, arms, neck, "
    "hals, cou, main, pie, cor, collo, nose, testa, sein, nek, eye, asp, abd, orbit, brain, barium, trunk, "
    "costa, coste, fechter, 3d, sinus, crane, kopf, pols, mamma, gamba, radius, cranio, phantom"
)
VIEWS_IN_TEXT: Final = frozenset({PA, AP, FRONTAL, LATERAL, DECUBITUS, OBLIQUE, LORDOTIC, SWIMMERS, SCOUT})
# A study's description with one of these tells of several views and not which of them this image is.
SEVERAL_IN_STUDY: Final = (
    "views, vws, and, und, et, y, e, en, with, mit, avec, con, com, met, plus, or, series, serie, ebenen, eb, "
    "ebene, incidences, incidencias, proyecciones, proiezioni, projections, projeções, richtingen, obliques, "
    "laterals, decubs"
)

RADIOGRAPHS: Final = (
    "cr, dx, rg, dr, xr, x ray, x rays, xray, xrays, cxr, rx, radiograph, radiographs, radiography, plain film, "
    "plain radiograph, plain radiography, digital radiography, computed radiography, digital x ray, chest x ray, "
    "röntgen, radiografia, radiografía, radiographie"
)
# DICOM PS3.3 C.7.3.1.1.1, retired terms included, and what tables write. OT (other) and SC (secondary capture) do not
# say what an image is, so they are unknown words.
OTHER_MODALITIES: Final = (
    "ct, mr, mri, us, mg, xa, rf, nm, pt, pet, io, px, es, xc, gm, sm, op, opt, optenf, optbsv, opm, opr, "
    "opv, ar, as, asmt, au, bdus, bi, bmd, cd, cf, cfm, cp, cs, ctprotocol, dd, df, dg, dm, dms, doc, ds, ec, ecg, "
    "eeg, emg, eog, eps, fa, fid, fs, hc, hd, iol, ivoct, ivus, ker, ko, len, lp, ls, m3d, ma, ms, oam, oct, oss, "
    "osa, pa, plan, pos, pr, reg, resp, rtdose, rtimage, rtintent, rtplan, rtrad, rtrecord, rtsegann, rtstruct, rwv, "
    "seg, smr, sr, srf, st, stain, texturemap, tg, va, vf, xaprotocol, computed tomography, tomography, magnetic "
    "resonance, ultrasound, fluoroscopy, mammography, angiography, scintigraphy, "
    "photograph"
)

# DICOM PS3.16 CID 4010 "DX View" and CID 4009: the meaning of a code of SNOMED CT, and of SRT, SNM3 and 99SDM.
VIEW_CODES: Final = {
    "399348003 R-10206": "antero-posterior",
    "272479007 R-40888 R-10214": "postero-anterior",
    "399033003 R-10202": "frontal",
    "399067008 R-102CD": "lateral",
    "399173006 R-10236": "left lateral",
    "399198007 R-10232": "right lateral",
    "399352003 R-10228": "lateral-medial",
    "399260004 R-10224": "medial-lateral",
    "399182000 R-102C1": "oblique",
    "399184004 R-10238": "left oblique",
    "399236003 R-10234": "right oblique",
    "399135007 R-10220": "left anterior oblique",
    "399006002 R-10212": "left posterior oblique",
    "399356000 R-40985 R-10218": "right anterior oblique",
    "399038007 R-10210": "right posterior oblique",
    "399312000 R-10208": "antero-posterior oblique",
    "399059000 R-10216": "postero-anterior oblique",
    "399160007 R-10204": "frontal oblique",
    "399132005 R-10252": "frontal-oblique axial",
    "260427002 R-40783": "lateral oblique",
    "399099002 R-10230": "latero-medial oblique",
    "260426006 R-40782": "medial oblique",
    "399368009 R-10226": "medio-lateral oblique",
    "399004004 R-10246": "oblique axial",
    "399225005 R-10250": "oblique caudo-cranial",
    "399288005 R-10248": "oblique cranio-caudal",
    "399325008 R-10254": "sagittal-oblique axial",
    "399061009 R-10241": "axial",
    "30730003 G-A145": "sagittal",
    "399196006 R-10244": "caudo-cranial",
    "399162004 R-10242": "cranio-caudal",
    "399110001 R-102C2": "tangential",
    "399242004 R-102C6": "acanthioparietal",
    "399335002 R-102C4": "dorsoplantar",
    "260499007 R-40810": "occlusal",
    "399351005 R-102C7": "orbitoparietal",
    "399316002 R-102C8": "parieto-orbital",
    "399272005 R-102C5": "parietoacanthial",
    "399071006 R-102C3": "plantodorsal",
    "399255003 R-10256": "submentovertical",
    "399360002 R-10257": "verticosubmental",
    "119376003 G-8300": "tissue specimen",
}
BODY_PART_CODES: Final = {
    "816094009 51185008 43799004 T-D3000": "chest",
    "39607008 T-28000 86598002 T-280A0": "lung",
    "80891009 T-32000 72410000 T-D3300 955009 T-26000": "heart",
    "416550000 R-FAB55 416775004 R-FAB56 416152001 R-FAB53 416319003 R-FAB54 417437006 R-FAB52": "chest and abdomen",
    "818981001 818982008 113345001 T-D4000 818983003": "abdomen",
    "816092008 12921003 T-D6000 34402009 T-59600": "pelvis",
    "29836001 T-D2500 24136001 T-15710": "hip",
    "421060004 T-D04FF 122494005 T-11501 122495006 T-11502 122496007 T-11503 54735007 T-11AD0": "spine",
    "89546000 T-11100 69536005 T-D1100 774007 T-D1000 91397008 T-11196 2095001 T-22000 91609006 T-11180": "skull",
    "45048000 T-D1600 44567001 T-25000": "neck",
    "16982005 T-D2220 79601000 T-12280 51299004 T-12310 85856004 T-15420 7844006 T-15610": "shoulder",
    "56873002 T-11210": "sternum",
    "113197003 T-11300": "rib",
    "40983000 T-D8200 85050009 T-12410 14975008 T-D8500 53120007 T-D8000 16953009 T-15430": "arm",
    "85562004 T-D8700 74670003 T-15460 7569003 T-D8800 76505004 T-D8810": "hand",
    "61685007 T-D9000 30021000 T-D9400 71341001 T-12710 72696002 T-D9200 68367000 T-D9100 64234005 T-12730": "leg",
    "56459004 T-D9700 70258002 T-15750 80144004 T-12770 29707007 T-D9800": "foot",
    "76752008 T-04000": "breast",
    "38266002 T-D0010 66019005 T-D0300": "whole body",
    "706342009 R-FE0C7": "phantom",
}
# SOP classes that are no radiograph, for a file without Modality: modality, and the last numbers of the UIDs.
# A secondary capture may be a radiograph.
IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
SOP_CLASSES: Final = {
    "1.2 1.2.1 13.1.3": "MG",
    "1.3 1.3.1": "IO",
    "2 2.1 2.2 13.1.2": "CT",
    "4 4.1 4.4": "MR",
    "6.1": "US",
    "12.1 13.1.1": "XA",
    "12.2": "RF",
    "20": "NM",
    "128": "PT",
    "77.1.4": "XC",
    "481.1": "RTIMAGE",
}
