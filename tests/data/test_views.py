"""Which images are frontal chest films, by the words of tables and headers; in the order of the rule."""

import pytest

from radcommons.data import view_words
from radcommons.data.view_phrases import has_lost_letters
from radcommons.data.views import Decision, Declared, Statements, decide, without_many_words


def view(value: str, **more: str) -> Statements:
    return Statements(fields=(("view", value), *((k.replace("_", " "), v) for k, v in more.items())))  # type: ignore[arg-type]


def body(value: str) -> Statements:
    return Statements(fields=(("body part", value),))


def modality(value: str, **more: bool) -> Statements:
    return Statements(fields=(("modality", value),), **more)


def series(*texts: str) -> Statements:
    return Statements(series_text=texts)


def study(*texts: str) -> Statements:
    return Statements(study_text=texts)


PA_WORDS = ["PA", "pa", "p.a.", "P-A", "PA UPRIGHT", "PA CHEST", "Postero-Anterior", "POSTEROANTERIOR", "THORAXPA",
            "PA_ERECT", "postéro-antérieur", "posteroanterior", "chest PA view", "PA EXPIRATION", "THORAX PA STEHEND",
            "d.v.", "Rx tórax PA de pie", "achter-voorwaarts", "PA 1"]  # fmt: skip
AP_WORDS = ["AP", "AP SUPINE", "AP_horizontal", "AP Erect", "AP SEMI-ERECT", "a.p. liegend", "AP PORTABLE",
            "antero-posterior", "ANTEROPOSTERIOR", "AP décubitus dorsal", "RX TORACE AP A LETTO", "AP SEMIUPRIGHT",
            "AP bedside 5-degree", "ventrodorsal", "AP no leito"]  # fmt: skip
FRONTAL_WORDS = ["FRONTAL", "Frontal", "FACE", "de face", "THORAX FACE DEBOUT", "frente", "AP/PA", "frontaal", "正位"]


@pytest.mark.parametrize(("values", "expected"), [(PA_WORDS, "PA"), (AP_WORDS, "AP"), (FRONTAL_WORDS, None)])
def test_a_frontal_word_is_taken_in_any_spelling_and_language(values: list[str], expected: str | None) -> None:
    for value in values:
        decision = decide(view(value))
        assert (decision.refused, decision.view) == (None, expected), value
        assert "view" in decision.decided, value


OTHERS = {
    "lateral view": [
        "LL",
        "RL",
        "LAT",
        "LATERAL",
        "L LAT",
        "LT LAT",
        "R LAT",
        "LAT L",
        "LLAT",
        "LEFT LATERAL",
        "lateral left",
        "LATERAL_RIGHT",
        "XTABLE LATERAL",
        "cross-table",
        "PROFIL",
        "profil gauche",
        "SEITLICH",
        "Thorax seitl.",
        "perfil",
        "PROFILO",
        "laterale",
        "latero-laterale",
        "zijdelings",
        "dwars",
        "PA/LAT",
        "AP+LATERAL",
        "L",
        "R",
        "LEFT",
        "THORAXLAT",
        "ChestLat",
        "LAT2",
        "боковая",
        "侧位",
        "CHEST L",
    ],
    "lateral decubitus view": [
        "LLD",
        "RLD",
        "LAT DECUB",
        "AP LLD",
        "AP RLD",
        "PA LLD",
        "LEFT LATERAL DECUBITUS",
        "decúbito lateral",
        "Seitenlage",
        "DECUBITUS",
        "lateral decubitus AP",
    ],
    "oblique view": [
        "RAO",
        "LAO",
        "RPO",
        "LPO",
        "RLO",
        "LLO",
        "OBLIQUE",
        "AP OBL",
        "schräg",
        "oblicua",
        "obliqua",
        "schuin",
    ],
    "lordotic or apical view": ["LORDOTIC", "AP AXIAL", "AP LORDOTIC", "apical", "Lungenspitzen"],
    "swimmer's view": ["SWIMMERS", "Swimmer's"],
    "section image": ["Axial", "Coronal", "sagittal", "CT", "CT axial"],
    "scout image": ["scout", "Localizer", "topogram"],
    "not a frontal view": ["tangential", "MLO CC", "WATERS", "cranio-caudal"],
    "marked to be excluded": ["EXCLUDE"],
    "body part ribs, not the chest": ["COSTAL", "ribs AP", "Rippen"],
    "body part hip, not the chest": ["HIP AP", "Hüfte a.p."],
}


@pytest.mark.parametrize("reason", OTHERS)
def test_a_word_for_another_view_is_refused_with_its_reason(reason: str) -> None:
    expected = "oblique view" if reason == "not a frontal view" else reason
    for value in OTHERS[reason]:
        found = decide(view(value)).refused
        assert found in (reason, expected), value
        assert decide(view(value), Declared.of(views=["any"])).refused == found, value  # any is for unknown words


@pytest.mark.parametrize(
    "value", ["", " ", "-", "N/A", "UNKNOWN", "nan", "None", "PORTABLE", "ERECT", "CHEST", "supine"]
)
def test_where_nothing_is_said_of_the_view_the_image_is_taken_without_one(value: str) -> None:
    decision = decide(view(value))
    assert decision.refused is None and decision.view is None and "view" not in decision.decided


def test_an_unknown_word_is_refused_by_its_word_until_the_user_declares_it() -> None:
    said = view("Spezial-1")
    assert decide(said).refused == "view 'SPEZIAL 1' is not known; pass --views 'SPEZIAL 1' if it is frontal"
    for words in (["SPEZIAL 1"], ["spezial-1"], ["x,Spezial 1"], ["any"]):
        assert decide(said, Declared.of(views=words)) == Decision(None, None, ("view",), ("view SPEZIAL 1",))
    assert decide(said, Declared.of(views=["spezial"])).refused
    assert decide(said, Declared.of(body_parts=["any"], modalities=["any"])).refused
    assert (
        decide(view("AP OUTLET")).refused == "view 'AP OUTLET' is not known; pass --views 'AP OUTLET' if it is frontal"
    )
    assert decide(view("AP OUTLET"), Declared.of(views=["AP OUTLET"])).view == "AP"


def test_a_declared_word_overrides_what_is_known_of_it() -> None:
    declared = Declared.of(views=["LL"], modalities=["OT"], body_parts=["RIBS"])
    said = Statements((("view", "LL"), ("modality", "OT"), ("body part", "RIBS")))
    assert decide(said, declared).declared == ("modality OT", "body part RIBS", "view LL")
    assert decide(view("RL"), declared).refused == "lateral view"


@pytest.mark.parametrize(
    "value", ["Muster^Erika", "4711X", "1.2.840.10008", "a b c d e f", "x" * 40, "film.dcm", "a@b.de"]
)
def test_a_value_that_may_be_a_name_or_number_is_never_shown(value: str) -> None:
    for said, option in ((view(value), "--views"), (body(value), "--body-parts"), (modality(value), "--modalities")):
        reason = decide(said).refused
        assert reason is not None and "in unknown words" in reason and option in reason
        assert not any(
            part.casefold() in reason.casefold().split() for part in value.replace("^", " ").split() if len(part) > 1
        )
    assert decide(view(value), Declared.of(views=["any"])).declared == ("view other words",)


def test_unknown_words_of_a_wrong_column_are_not_shown() -> None:
    names = [f"{first}{last}" for first in "abcde" for last in ("ann", "bert", "carla", "dora", "emil")]
    reasons = [str(decide(view(name)).refused) for name in names] + ["lateral view"]
    hidden = without_many_words(reasons)
    assert len(set(hidden)) == 2 and hidden[-1] == "lateral view"
    assert without_many_words(reasons[:20]) == reasons[:20]


def test_a_body_part_other_than_the_chest_is_refused() -> None:
    for value in (
        "CHEST",
        "chest",
        "THORAX",
        "TORAX",
        "TÓRAX",
        "TORACE",
        "LUNG",
        "HEART",
        "PORT CHEST",
        "CHEST PORTABLE",
        "Chest Bucky",
        "W033 CHEST",
        "CHEST_ADULT",
        "PORT",
        "Herz/Lunge",
        "THORAX 2",
        "Brustkorb",
        "POUMONS",
    ):
        assert decide(body(value)).refused is None, value
    for value, part in (
        ("HIP", "hip"),
        ("HAND", "hand"),
        ("SKULL", "skull"),
        ("ABDOMEN", "abdomen"),
        ("PELVIS", "pelvis"),
        ("FACE", "skull"),
        ("TSPINE", "spine"),
        ("T-SPINE", "spine"),
        ("thoracic spine", "spine"),
        ("BWS", "spine"),
        ("RIB", "ribs"),
        ("Schulter", "shoulder"),
        ("KNEE", "leg"),
        ("Pied", "foot"),
        ("CHESTABDOMEN", "chest and abdomen"),
        ("CHEST/ABDOMEN", "chest and abdomen"),
        ("BREAST", "breast"),
        ("ABDOME", "abdomen"),
        ("CLAVICLE", "shoulder"),
        ("EXTREMITY", "whole body"),
        ("Hüfte", "hip"),
    ):
        assert decide(body(value)).refused == f"body part {part}, not the chest", value
    assert decide(body("CHEST LAT")).refused == "lateral view"
    assert decide(body("CHEST PA")).view == "PA"
    assert decide(body("XYLO")).refused == "body part 'XYLO' is not known; pass --body-parts 'XYLO' if it is the chest"
    assert decide(body("XYLO"), Declared.of(body_parts=["xylo"])).declared == ("body part XYLO",)


def test_a_modality_other_than_radiographs_is_refused() -> None:
    for value in ("CR", "DX", "RG", "X-ray", "XRAY", "x ray", "DR", "CXR", ""):
        assert decide(modality(value)).refused is None, value
    for value in ("CT", "MR", "MG", "XA", "RF", "US", "NM", "PT", "IO", "ES", "SR", "ultrasound"):
        reason = decide(modality(value)).refused
        assert reason == f"modality {value.upper()}, not CR, DX or RG", value
        assert decide(modality(value), Declared.of(modalities=["any"])).refused == reason
        assert decide(modality(value), Declared.of(modalities=[value])).refused is None
    for value in ("OT", "SC"):  # say nothing of what it is
        assert decide(modality(value)).refused == (
            f"modality '{value}' is not known; pass --modalities '{value}' if it is a radiograph"
        )
        assert decide(modality(value), Declared.of(modalities=[value])).declared == (f"modality {value}",)
        assert decide(modality(value), before=decide(modality("X-ray"))).refused is None
    assert "'QQ' is not known" in str(decide(modality("QQ")).refused)


def test_a_synthetic_image_is_taken_only_if_asked_for_and_then_with_its_modality() -> None:
    said = modality("OT", synthetic=True)
    assert str(decide(said).refused).startswith("marked as synthetic")
    assert decide(said, Declared(synthetic=True)).refused is None
    assert decide(modality("CT", synthetic=True), Declared(synthetic=True)).refused
    assert decide(modality("OT"), Declared(synthetic=True)).refused


def test_sources_that_contradict_each_other_are_refused() -> None:
    assert (
        decide(Statements((("view", "PA"), ("view", "lateral")))).refused
        == "contradiction in the view: PA against lateral view"
    )
    assert decide(Statements((("view", "PA"),), hints=(("view", "lateral"),))).refused
    assert decide(Statements((("body part", "CHEST"), ("body part", "hip")))).refused == (
        "contradiction in the body part: chest against hip"
    )
    both = decide(Statements((("view", "PA"), ("view", "AP"))))
    assert (both.refused, both.view) == (None, None)  # frontal either way


def test_a_known_view_settles_an_unknown_word_beside_it() -> None:
    assert decide(Statements((("view", "SPEZIAL"), ("view", "postero-anterior")))).view == "PA"
    assert decide(Statements((("view", "SPEZIAL"), ("view", "lateral")))).refused == "lateral view"
    assert decide(Statements((("view", "SPEZIAL"),), series_text=("Thorax pa",))).view == "PA"


LATERAL_TEXTS = ["Chest Lateral", "CHEST LAT", "Thorax seitlich", "Thorax 2 Ebenen seitlich", "THORAX PROFIL",
                 "Tórax lateral", "torax perfil", "Torace LL", "Torace laterale", "Thorax dwars", "Lung lateraal",
                 "W Chest Lat.", "CHEST,LAT", "Thorax_lat"]  # fmt: skip


@pytest.mark.parametrize("text", LATERAL_TEXTS)
def test_a_description_that_names_one_view_decides_where_nothing_else_does(text: str) -> None:
    assert decide(series(text)).refused == "lateral view"
    assert decide(Statements((("view", ""), ("body part", "CHEST")), series_text=(text,))).refused == "lateral view"
    assert decide(Statements((("view", "PA"),), series_text=(text,))).view == "PA"  # ViewPosition wins


@pytest.mark.parametrize("text", ["CHEST PA AND LATERAL", "Chest 2 views", "Thorax p.a. und seitlich", "CHEST PA/LAT",
                                  "XR CHEST", "Röntgen Thorax in 2 Ebenen", "Thorax face et profil"])  # fmt: skip
def test_a_description_of_several_views_or_none_says_nothing(text: str) -> None:
    for said in (series(text), study(text)):
        decision = decide(said)
        assert (decision.refused, decision.view) == (None, None)
        assert "view" not in decision.decided


def test_a_description_gives_pa_or_ap_too() -> None:
    assert decide(series("view: PA")).view == "PA"
    assert decide(study("CHEST (PORTABLE AP)")).view == "AP"
    assert (
        decide(Statements(series_text=("Chest AP",), study_text=("Chest lateral",))).view == "AP"
    )  # nearer to the image
    assert decide(study("Chest lateral")).refused == "lateral view"
    for several in ("Chest with obliques", "CHEST 2V LAT", "Chest w lateral", "CHEST + LAT", "chest obliques"):
        assert decide(study(several)).refused is None, several
    assert decide(study("W034 Chest Lat")).refused == "lateral view"
    assert decide(series("CHEST LATEROLATERALIS")).refused == "lateral view"
    assert decide(series("Bilateral pleural effusions, chest")).refused is None
    assert decide(series("Chest PA", "LATERAL")).refused == "lateral view"


def test_a_description_of_another_body_part_is_refused_unless_it_names_the_chest() -> None:
    assert decide(series("HIP AP")).refused == "body part hip, not the chest"
    assert decide(study("XR Abdomen")).refused == "body part abdomen, not the chest"
    assert decide(study("CHEST AND ABDOMEN")).refused is None
    assert decide(Statements((("body part", "CHEST"),), study_text=("Polytrauma pelvis hip",))).refused is None


@pytest.mark.parametrize("text", ["Dr. Waters, ward 3", "Frau Hals", "Cc Miller", "head elevated"])
def test_names_and_common_words_in_free_text_decide_nothing(text: str) -> None:
    assert decide(Statements(series_text=(text,), study_text=(text,))) == Decision()


def test_free_text_is_never_shown() -> None:
    secret = "Mustermann lateral hip 4711"
    for said in (series(secret), study(secret), Statements((("view", "ODD"),), series_text=(secret,))):
        for declared in (Declared(), Declared.of(views=["any"])):
            decision = decide(said, declared)
            assert "muster" not in f"{decision}".casefold() and "4711" not in f"{decision}"


def test_what_the_table_settles_is_not_asked_again_but_a_contradiction_is_refused() -> None:
    table = decide(view("PA"))
    assert decide(view("SPEZIAL"), before=table).view == "PA"
    assert decide(series("Chest lateral"), before=table).view == "PA"
    assert decide(view("AP"), before=table).view == "PA"  # the table's word
    assert decide(view("LL"), before=table).refused == "contradiction in the view: the table against lateral view"
    assert decide(body("HIP"), before=table).refused == "body part hip, not the chest"
    assert decide(view("PA"), before=decide(view("L"))).refused == "lateral view"
    assert decide(Statements(), before=table) == table
    declared = Declared.of(views=["spezial"])
    assert decide(Statements(), declared, decide(view("SPEZIAL"), declared)).declared == ("view SPEZIAL",)


def test_every_word_of_the_vocabulary_means_what_its_table_says() -> None:
    for kind, text in view_words.VIEWS.items():
        for word in map(str.strip, text.split(",")):
            decision = decide(view(word))
            right = kind in ("PA", "AP", "frontal")
            assert decision.refused == (None if right else kind), word
            assert decision.view == (kind if kind in ("PA", "AP") else None), word
    for part, text in view_words.BODY_PARTS.items():
        for word in map(str.strip, text.split(",")):
            expected = None if part == "chest" else f"body part {part}, not the chest"
            assert decide(body(word)).refused == expected, word


def test_no_code_has_two_meanings() -> None:
    for table in (view_words.VIEW_CODES, view_words.BODY_PART_CODES):
        codes = [code for group in table for code in group.split()]
        assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    "value",
    ["???", "%%", "\u27a1", "\ufffd\ufffd", "\u5074\u9762".encode("cp932").decode("cp1252"), "ZZZ \ufffd",
     "\u9762".encode("cp932").decode("cp1252")],
)  # fmt: skip
@pytest.mark.parametrize("about", ["view", "body part", "modality"])
def test_a_value_that_lost_letters_in_a_wrong_character_set_is_not_taken_for_silence(about, value):
    """The Shift-JIS word for lateral, read as Windows-1252, left nothing but an E, which stood for erect."""
    decision = decide(Statements(fields=((about, value),)))
    assert decision.refused is not None and "in unknown words" in decision.refused
    assert value not in decision.refused


@pytest.mark.parametrize(
    "value", ["", "-", "--", "PA \u2013 erect", "P.A.", "R\u00f6ntgen PA", "\u80f8\u90e8\u6b63\u9762"]
)
def test_a_blank_or_whole_value_has_lost_no_letters(value):
    assert not has_lost_letters(value)
