"""The order of the rooms: a room imports only what stands before it, and nothing goes in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
RL = ["config", "shared", "agent", "acting", "learning", "parameters", "record", "loop", "running", "group", "play"]
SEES_ENVS = "rl.play"  # a policy on the environment's own observations; nothing else of rl knows envs
CONFIG = ("config", "config_rules", "options", "algorithms", "names", "presets")  # stand before every room
LIGHT = ["rl.loop", "rl.shared", *(f"rl.{name}" for name in CONFIG)]  # a worker watches its parent before torch comes


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for name in ("rl", "envs", "experiments") for path in (ROOT / name).rglob("*.py")}


def imports(module, everywhere=True):
    """What a module imports; of the imports at its top alone, those that run when it is imported."""
    tree = ast.parse(MODULES[module].read_text())
    for_types = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    only_types = {id(node) for block in for_types for node in ast.walk(block)}
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import) and id(node) not in only_types:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in only_types:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found


def room(module):
    """The place of a module in the order of its package."""
    package, *rest = module.split(".")
    if package == "rl":
        return RL.index("config" if not rest or rest[0] in CONFIG else rest[0])
    if package == "envs":
        return 2 if not rest else int(rest[0] != "vector")
    if not rest or rest[0] == "lab":
        return 0
    return 1 if rest[0] in ("chapter5", "online_vs_replay", "speed") else 2  # 2: a command of the first floor


def test_a_module_imports_nothing_from_a_later_room():
    wrong = []
    for module in MODULES:
        for name in imports(module) & MODULES.keys():
            package, other = (one.partition(".")[0] for one in (module, name))
            strangers = {package, other} == {"rl", "envs"} and module != SEES_ENVS
            apart = strangers or (other == "experiments" and package != "experiments")
            if apart or (package == other and room(name) > room(module)):
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle():
    arrows = {module: imports(module) & MODULES.keys() for module in MODULES}
    assert len(list(TopologicalSorter(arrows).static_order())) == len(MODULES)


def test_a_folder_imports_nothing_by_itself():
    """`__init__` is one sentence; envs alone registers its environments and names what it offers."""
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module != "envs":
            assert imports(module) == set(), module


def test_what_a_worker_imports_first_does_not_load_torch():
    seen, rest = set(), {name for name in MODULES if any(f"{name}.".startswith(f"{one}.") for one in LIGHT)}
    while rest:
        name = rest.pop()
        seen.add(name)
        found = imports(name, everywhere=False)
        assert not any(one.partition(".")[0] == "torch" for one in found), name
        rest |= (found & MODULES.keys()) - seen


def test_no_test_module_imports_another():
    """What two of them need is in tests/support."""
    wrong = []
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            wrong += [f"{path.name}: {name}" for name in names if ".test_" in f".{name}" and name.startswith("tests")]
    assert wrong == []
