"""Rules of imports: no circles, layers, private modules, kernels, one module that distinguishes types of data."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulate", "infer", "reverie")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
#: Folders and files of `infer` from the ground floor up: a module imports from its own floor or from those below.
FLOORS = (
    ("options", "types", "wording", "errors", "checks", "threads", "progress"),
    ("model", "count_model", "samples", "files", "conversion"),
    ("statistics", "plot"),
    ("recordings", "estimators"),
    ("similarity", "landscape"),
    ("diagnosis",),
    ("fits", "sweeps", "report", "two_recordings"),
    ("contrastive",),
    ("cli",),
    ("__main__",),
)
#: The files that everything else stands on; they count as one room.
GROUND = {"options", "types", "wording", "errors", "checks", "threads", "progress"} | {
    "model",
    "count_model",
    "samples",
    "conversion",
}
#: Modules that hold vector instructions for kernels, each with a plain twin in its tests.
INTRINSICS = {"llvmlite"}


def name_of(path):
    """Dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def only_for_types(tree):
    """Nodes under ``if TYPE_CHECKING``, which never run."""
    guarded = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {id(inner) for node in guarded for statement in node.body for inner in ast.walk(statement)}


def imported(path):
    """Modules of these packages, and top-level names of other libraries, that a module imports, anywhere in it."""
    ours, others = set(), set()
    tree = tree_of(path)
    skipped = only_for_types(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            module = node.module or ""
            inside = [f"{module}.{alias.name}" for alias in node.names]
            names = [full if full in NAMES else module for full in inside]
        else:
            continue
        for name in names:
            (ours if name.split(".")[0] in PACKAGES else others).add(name)
    return ours, {name.split(".")[0] for name in others}


IMPORTS = {name: imported(path) for name, path in NAMES.items()}


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 100
    assert any(path.name.endswith("_kernels.py") for path in MODULES)


@pytest.mark.parametrize("name", NAMES)
def test_module_keeps_to_its_floor(name):
    ours, others = IMPORTS[name]
    path = NAMES[name]
    if name.split(".")[0] == "simulate":
        assert not any(module.split(".")[0] == "infer" for module in ours)
    if name.split(".")[0] != "reverie":  # the umbrella stands above both
        assert not any(module.split(".")[0] == "reverie" for module in ours)
    if path.name.endswith("_kernels.py"):
        assert others <= {"numpy", "numba", "math"}
        assert all(module.endswith(("_kernels", "_intrinsics")) for module in ours), ours
    if others & INTRINSICS:
        assert path.name.endswith("_intrinsics.py"), f"{name}: vector instructions live in modules of their own"
    for module in ours:  # private modules stay in their folder
        assert not module.split(".")[-1].startswith("_") or module.rpartition(".")[0] == name.rpartition(".")[0]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


def test_no_circle_of_imports():
    """Imports inside functions count too; only those for types do not."""
    unvisited, on_the_way, done = 0, 1, 2
    state = dict.fromkeys(NAMES, unvisited)

    def visit(name, way):
        state[name] = on_the_way
        for module in IMPORTS[name][0] & set(NAMES):
            if module == name:
                continue
            assert state[module] != on_the_way, " -> ".join([*way, name, module])
            if state[module] == unvisited:
                visit(module, [*way, name])
        state[name] = done

    for name in NAMES:
        if state[name] == unvisited:
            visit(name, [])


def test_imports_run_down_the_floors():
    floor = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}
    rooms = {name.split(".")[1] for name in NAMES if name.startswith("infer.")}
    assert rooms <= set(floor), f"say on which floor {sorted(rooms - set(floor))} are"
    for name in NAMES:
        if not name.startswith("infer."):
            continue
        for module in IMPORTS[name][0]:
            if module.startswith("infer."):
                above, below = floor[name.split(".")[1]], floor[module.split(".")[1]]
                assert below <= above, f"{name} imports {module}, which is on a higher floor"


def room_of(module):
    """Folder of `infer`, file beside them, `simulate`, or the ground floor, on which both packages stand."""
    parts = module.split(".")
    if module in ("simulate.threads", "simulate.user_warnings"):
        return "ground floor"
    if parts[0] == "simulate":
        return "simulate"
    return "ground floor" if len(parts) > 1 and parts[1] in GROUND else ".".join(parts[:2])


def file_or_folder(module):
    """The same, with each file of the ground floor as a room of its own."""
    parts = module.split(".")
    return "simulate" if parts[0] == "simulate" else ".".join(parts[:2])


@pytest.mark.parametrize(
    ("room", "most"),
    [
        pytest.param(room_of, 65, id="rooms"),
        # the ground floor is eleven small files that nearly all rooms use, in place of the private modules of one room
        # that others once reached into: an arrow to each of them tells little, but new ones should be seen
        pytest.param(file_or_folder, 113, id="every file of the ground floor"),
    ],
)
def test_rooms_know_few_others(room, most):
    """Pairs of rooms of which one imports the other: at most as many as today."""
    pairs = {
        (room(name), room(module))
        for name in NAMES
        if name.startswith("infer.") and name != "infer.__main__"  # the command by another name
        for module in IMPORTS[name][0]
        if room(module) != room(name)
    }
    assert len(pairs) <= most, (len(pairs), sorted(pairs))


@pytest.mark.slow
def test_one_module_looks_at_what_samples_are():
    """`Samples.of` knows Datasets, frames and recordings; `recordings.objects` what is read like files."""
    looking = defaultdict(list)
    asked = {"spins", "chains", "counts", "iloc", "data_vars"}
    for name, path in NAMES.items():
        if not name.startswith("infer") or name in ("infer.samples", "infer.recordings.objects"):
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            words = {word.value for word in node.args[1:2] if isinstance(word, ast.Constant)}
            if node.func.id in ("hasattr", "getattr") and words & asked:
                looking[name].append(ast.unparse(node))
            if node.func.id == "isinstance" and "xr." in ast.unparse(node.args[1]):
                looking[name].append(ast.unparse(node))
    assert dict(looking) == {}


@pytest.mark.parametrize("package", ["simulate", "infer"])
def test_arviz_has_one_door_in_each_package(package):
    doors = [name for name in NAMES if name.split(".")[0] == package and "arviz" in IMPORTS[name][1]]
    assert len(doors) <= 1, doors


def test_names_that_explain_nothing_are_gone():
    gone = {"_trial", "_objects", "_common", "_chains", "_tables", "_two_valued", "_products", "_preparation"}
    assert {path.stem for path in MODULES} & (gone | {"_recall", "_record", "inputs"}) == set()
