"""What installed packages add, alone and against each other, and what one that is broken leaves untouched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from doubles import FLAT, MADE, SHIFT, Site, Sslcli, only_run, require_two_lines
from PIL import Image

import sslcli as package
from sslcli.choices import Misfit, answerable
from sslcli.errors import SslcliError
from sslcli.method import Preprocessing
from sslcli.methods import METHODS
from sslcli.nets.encoder_config import MLPConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.trained.method import build_method


def refused(outcome: tuple[int, str, str]) -> tuple[str, str]:
    status, _, err = outcome
    assert status == 2
    error, fix = err.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert "Traceback" not in err
    return error.removeprefix("error: "), fix.removeprefix("fix:   ")


def test_two_packages_with_one_name_are_both_named_and_the_others_work(
    sslcli: Sslcli, site: Site
) -> None:
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, version="1.0")
    site.install("two-shift", {"methods": {"shift": "two_shift:ShiftConfig"}}, version="2.5")
    site.install("third", {"methods": {"third": "third:ShiftConfig"}})
    error, fix = refused(sslcli("pretrain", "method=shift"))
    assert "one-shift 1.0" in error
    assert "two-shift 2.5" in error
    assert error.endswith("bring methods of one name, shift")
    assert "pip uninstall" in fix
    assert sslcli("pretrain", "method=third", "--cfg", "job").status == 0
    assert sslcli("pretrain", "--cfg", "job", "runtime.outputs=shift").status == 0
    listed = sslcli("list", "methods")
    assert listed.status == 0
    assert "one-shift 1.0 and two-shift 2.5" in listed.out.replace(
        "two-shift 2.5 and one-shift 1.0", "one-shift 1.0 and two-shift 2.5"
    )
    assert "Predicts by how much brighter a view is. (third 1.0)" in listed.out


@pytest.mark.parametrize(
    ("group", "entries", "name"),
    [
        ("method", "methods", "simclr"),
        ("optim", "optimizers", "adam"),
        ("encoder", "encoders", "mlp"),
    ],
)
def test_a_package_that_takes_the_name_of_a_choice_of_sslcli_is_refused(
    sslcli: Sslcli, site: Site, group: str, entries: str, name: str
) -> None:
    """`adam` is a file of conf/, no class."""
    site.install("taker", {entries: {name: "taker:ShiftConfig"}}, version="0.7")
    error, fix = refused(sslcli("pretrain", f"{group}={name}"))
    assert error.startswith("sslcli itself and taker 0.7 bring")
    assert error.endswith(f"of one name, {name}")
    assert "pip uninstall taker" in fix
    others = ["method=denoising_autoencoder", "encoder=resnet18", "optim=lars"]
    assert sslcli("pretrain", *others, "--cfg", "job").status == 0
    listed = sslcli("list", entries)
    assert listed.status == 0
    assert "sslcli itself and taker 0.7" in listed.out


def test_presets_of_conf_are_known_to_the_tables() -> None:
    """Else a package could take their names in silence."""
    from sslcli.config import conf_folder
    from sslcli.experiments.groups import GROUPS

    for group, table in GROUPS.items():
        files = {path.stem for path in conf_folder().glob(f"{group}/*.yaml")}
        assert files - set(table) == set(getattr(table, "presets", ()))


FAULTS = {
    "raise RuntimeError('no such device')": "RuntimeError: no such device",
    "raise SystemExit": "SystemExit",
    "raise SystemExit(0)": "SystemExit: 0",
    "def (": "SyntaxError: invalid syntax (broken.py, line 1)",
    "import not_there_at_all": "ModuleNotFoundError: No module named 'not_there_at_all'",
    "class Base(BaseException): pass\nraise Base('several\\nlines')": "Base: several",
    "X = 3": "AttributeError: module 'broken' has no attribute 'Config'",
    "from __future__ import annotations\n"
    + SHIFT.replace("note: str", "note: Unknown").replace(
        "ShiftConfig", "Config"
    ): "NameError: name 'Unknown' is not defined",
}


@pytest.mark.parametrize(("module", "said"), FAULTS.items(), ids=FAULTS.values())
def test_a_fault_at_import_names_the_package(site: Site, module: str, said: str) -> None:
    site.install("broken", {"methods": {"shift": "broken:Config"}}, module, version="0.3")
    with pytest.raises(SslcliError) as refused:
        METHODS["shift"]
    message = f"the method 'shift' of broken 0.3 cannot be imported: {said}"
    assert refused.value.message == message
    assert "pip uninstall broken" in refused.value.fix


def test_a_broken_package_is_two_lines_and_leaves_the_others_alone(
    sslcli: Sslcli, site: Site
) -> None:
    site.install("broken", {"methods": {"shift": "broken:Config"}}, "raise SystemExit(0)")
    site.install("sound", {"methods": {"sound": "sound:ShiftConfig"}})
    for words in (["method=shift"], ["-m", "method=sound,shift"], ["method=shift", "--help"]):
        error, _ = refused(sslcli("pretrain", *words))
        assert "broken 1.0 cannot be imported: SystemExit" in error
    listed = sslcli("list", "methods")
    assert listed.status == 0
    (line,) = (line for line in listed.out.splitlines() if line.startswith("  shift "))
    assert "the method 'shift' of broken 1.0 cannot be imported: SystemExit: 0" in line
    for word in ("method=sound", "runtime.outputs=shift"):
        outcome = sslcli("pretrain", word, "--cfg", "job")
        assert outcome.status == 0, outcome.err
    assert "Traceback" in sslcli("pretrain", "method=shift", "debug=true").err


def test_a_class_that_is_no_config_is_refused(site: Site) -> None:
    site.install("other", {"methods": {"other": "other:Other"}}, "class Other: pass")
    with pytest.raises(
        SslcliError, match=r"the method 'other' of other 1.0 is not a MethodConfig: other:Other"
    ):
        METHODS["other"]


UNDECORATED = SHIFT.replace("@dataclass(kw_only=True)\n", "")
UNTYPED = UNDECORATED.replace("shift: float = setting", "shift = setting")
INHERITING = (
    SHIFT
    + """
class Derived(ShiftConfig):
    suits = ("optim=sgd",)
"""
)


@pytest.mark.parametrize(
    ("module", "lost"), [(UNDECORATED, "shift, note, views"), (UNTYPED, "note, views, shift")]
)
def test_settings_that_would_not_count_are_refused(site: Site, module: str, lost: str) -> None:
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, module)
    with pytest.raises(SslcliError) as refused:
        METHODS["shift"]
    said = "the method 'shift' of one-shift 1.0 has settings that do not count"
    assert refused.value.message == f"{said}: {lost}"
    assert "@dataclass(kw_only=True) above class ShiftConfig" in refused.value.fix


def test_a_class_that_adds_no_setting_needs_no_decorator(site: Site) -> None:
    site.install("one-shift", {"methods": {"shift": "one_shift:Derived"}}, INHERITING)
    assert METHODS["shift"].__name__ == "Derived"


def test_what_a_packages_code_raises_names_it_and_what_is_built_in_does_not(site: Site) -> None:
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}})
    brought = METHODS["shift"]()
    with pytest.raises(SslcliError) as named, answerable(METHODS, brought):
        raise RuntimeError("no such layer")
    said = "the method 'shift' of one-shift 1.0"
    assert named.value.message == f"{said} failed: RuntimeError: no such layer"
    with pytest.raises(SslcliError) as named, answerable(METHODS, brought):
        raise Misfit("it has no width", "set it")
    assert (named.value.message, named.value.fix) == (f"{said}: it has no width", "set it")
    with pytest.raises(SslcliError, match="the method 'simclr': it"):  # noqa: SIM117
        with answerable(METHODS, METHODS["simclr"]()):
            raise Misfit("it has no width", "set it")
    for raised in (OSError("no space"), SslcliError("no", "yes")):
        with pytest.raises(type(raised)) as same, answerable(METHODS, brought):
            raise raised
        assert same.value is raised
    with pytest.raises(RuntimeError), answerable(METHODS, METHODS["simclr"]()):
        raise RuntimeError


BAD_STEPS = {
    "return Shift(encoder": ("Shift(encoder", "ShiftConfig.build returns NoneType, no Method"),
    "    encoder: torch": ("    net: torch", "Shift has no encoder"),
    "def views(": ("def look(", "Shift defines no views"),
}


@pytest.mark.parametrize("good", BAD_STEPS)
def test_a_build_that_gives_no_whole_method_is_refused(site: Site, good: str) -> None:
    bad, said = BAD_STEPS[good]
    assert good in SHIFT
    points = {"methods": {"shift": "one_shift:ShiftConfig"}}
    site.install("one-shift", points, SHIFT.replace(good, bad))
    shape = Preprocessing(8, 1, (0.5,), (0.5,))
    with pytest.raises(SslcliError) as refused:
        build_method(METHODS["shift"](), MLPConfig(widths=[4]), shape, 0)
    assert refused.value.message == f"the method 'shift' of one-shift 1.0: {said}"


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (
            "views(self, images):\n",
            "views(self, images):\n        return images.numpy()\n",
            "Shift.views returns ndarray for 16 pictures",
        ),
        (
            "    shift: float",
            "    suits = 'optim=sgd'\n    shift: float",
            "ShiftConfig.suits must be a tuple of words, got 'optim=sgd'",
        ),
    ],
    ids=["views", "suits"],
)
def test_a_mistake_of_a_method_is_answered_before_it_trains(
    sslcli: Sslcli, site: Site, good: str, bad: str, said: str
) -> None:
    assert good in SHIFT
    module = SHIFT.replace(good, bad, 1)
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, module)
    error, _ = refused(sslcli("pretrain", "method=shift", *MADE))
    assert error == said


def test_a_run_whose_package_is_gone_says_where_its_choices_came_from(
    sslcli: Sslcli, site: Site, tmp_path: Path
) -> None:
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, version="1.2")
    site.install("flat", {"encoders": {"flat": "flat:FlatConfig"}}, FLAT, version="0.4")
    tiny = [word for word in MADE if not word.startswith("encoder")]
    outcome = sslcli("pretrain", "method=shift", "encoder=flat", "optim=adamw", *tiny)
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert run.parent.name == "shift-fashion_sample"
    assert package.load_encoder(run).width == 8
    header = yaml.safe_load((run / "config.yaml").read_text())["sslcli"]
    assert header["packages"] == {"method": "one-shift 1.2", "encoder": "flat 0.4"}
    exported = sslcli("export", str(run), "--to", "safetensors")
    assert exported.status == 0, exported.err

    site.uninstall("flat")
    gone = "there is no encoder 'flat' any more: it came from the package flat 0.4"
    for words in (
        ["linear-eval", "run=last"],
        ["export", str(run), "--to", "safetensors", "--force"],
        ["embed", str(run)],
        ["rerun", str(run)],
        ["resume", str(run)],
    ):
        error, fix = refused(sslcli(*words))
        assert error == gone
        assert fix == "install that again: pip install flat==0.4"
    for folder in (run, run / "export/safetensors"):
        with pytest.raises(SslcliError, match=r"it came from the package flat 0\.4"):
            package.load_encoder(folder)

    site.uninstall("one-shift")
    Image.new("L", (28, 28)).save(tmp_path / "picture.png")
    for words in (["rerun", str(run)], ["restore", str(run), "picture.png"]):
        error, _ = refused(sslcli(*words))
        assert (
            error == "there is no method 'shift' any more: it came from the package one-shift 1.2"
        )
    for words in (["runs"], ["report", str(run)]):
        outcome = sslcli(*words)
        assert outcome.status == 0, outcome.err


def test_nothing_is_imported_before_it_is_used(site: Site) -> None:
    site.install(
        "one-shift",
        {"methods": {"shift": "one_shift:ShiftConfig"}, "encoders": {"e": "one_shift:E"}},
    )
    assert "shift" in METHODS
    assert "e" in [*ENCODERS]
    assert len(METHODS) == len([*METHODS])
    assert "one_shift" not in sys.modules
    assert METHODS["shift"].__name__ == "ShiftConfig"
    assert "one_shift" in sys.modules


def test_a_choice_of_a_package_works_as_a_built_in_one(
    sslcli: Sslcli, site: Site, tmp_path: Path
) -> None:
    """In a user's presets and experiment files, with views, and at a Tab."""
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}})
    files = {
        "method/small_shift": "defaults: [shift, _self_]\nshift: 0.25\n",
        "method/schema_shift": "defaults: [/schema/method/shift@_here_, _self_]\nshift: 0.25\n",
        "experiment/shifted": "# @package _global_\ndefaults: [{override /method: shift}]\nmethod: {shift: 0.25}\n",
    }
    for name, text in files.items():
        path = tmp_path / f"mine/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = ["pretrain", "--config-dir", "mine", "--cfg", "job"]
    for word in ("method=small_shift", "method=schema_shift", "experiment=shifted"):
        outcome = sslcli(*own, word, "method.note=1e5")
        assert "\n  shift: 0.25\n" in outcome.out, outcome.err
    for word in ("method=small_shift", "method=shift", "experiment=shifted"):
        outcome = sslcli(*own, word, "method/views=simclr_cifar")
        assert "\n    blur: 0.0\n" in outcome.out, outcome.err
    refused_text = sslcli(*own[:-2], "method=small_shift", "method.note=1e5")
    fix = require_two_lines(
        refused_text, "method.note=1e5 is read as 100000.0, and a text is meant"
    )
    assert fix.endswith("""'method.note="1e5"'""")
    fix = require_two_lines(sslcli(*own, "method=small_shift", "method.nte=x"), "'method.nte'")
    assert "did you mean method.note?" in fix
    assert "method=shift" in sslcli("completion", "query", "sslcli pretrain method=s").out.split()
    keys = sslcli("completion", "query", "sslcli pretrain method=shift method.").out.split()
    assert {"method.shift=", "method.note="} <= {*keys}


def test_a_field_named_views_need_not_be_an_augmentation(sslcli: Sslcli, site: Site) -> None:
    views = 'views: ViewConfig = part(ViewConfig, "an augmentation")'
    assert views in SHIFT
    module = SHIFT.replace(views, 'views: int = setting(2, "how many")')
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, module)
    outcome = sslcli("pretrain", "method=shift", "--cfg", "job")
    assert "\n  views: 2\n" in outcome.out, outcome.err


def test_a_setting_of_an_unknown_type_is_answered(sslcli: Sslcli, site: Site) -> None:
    module = SHIFT.replace('note: str = setting("none"', "note: torch.dtype = setting(torch.int8")
    site.install("one-shift", {"methods": {"shift": "one_shift:ShiftConfig"}}, module)
    fix = require_two_lines(
        sslcli("pretrain", "method=shift", "--cfg", "job"),
        "shift of one-shift 1.0 cannot be read: note: ",
    )
    assert "settings are int, float" in fix


@pytest.mark.parametrize(
    "words",
    [["--help"], ["pretrain", "--help"], ["pretrain", "--cfg", "job"], ["list", "experiments"],
     ["completion", "query", "sslcli pretrain method="]],
    ids=" ".join,
)  # fmt: skip
def test_thirty_packages_are_not_imported_where_none_is_used(
    sslcli: Sslcli, site: Site, words: list[str]
) -> None:
    """So one that takes long, or cannot be imported, delays nothing."""
    names = [f"late_{number}" for number in range(30)]
    for name in names:
        points = {group: {name: f"{name}:Config"} for group in ("methods", "encoders", "data")}
        site.install(
            name, points, "open(__file__ + '.imported', 'x').close()\nraise AssertionError"
        )
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    assert not list(site.folder.glob("*.imported")), "also where the fault was swallowed"
    if words[0] == "completion":
        assert {f"method={name}" for name in names} <= {*outcome.out.split()}
