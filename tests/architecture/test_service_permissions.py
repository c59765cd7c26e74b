"""Every service that a user can trigger checks the permission of this user itself.

Services are the public functions of services modules, and of modules that pages, API and commands call to
write.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

MEKIKI = Path(__file__).parents[2] / "platform" / "mekiki"

HELPERS = {
    "require_adjudicator",
    "require_may_create_datasets",
    "require_platform_admin",
    "require_role",
    "require_same_user",
}

# Modules with services outside of services.py and services/.
MORE_MODULES = (
    "accounts/mail_reset.py",
    "accounts/own_mail.py",
    "accounts/site.py",
    "audit/head_mail.py",
    "audit/stamping.py",
    "jobs/seals.py",
    "review/searching.py",
)

OWN_ACCOUNT = "acts on the account of the user who is logged in, and on no other"
OF_A_JOB = "a worker calls it; the permission was checked when the job was requested"
PART = "a part of other services, which check the permission"
EXCEPTIONS = {
    "accounts/mail_reset.py": {"password_reset_url": "writes nothing"},
    "accounts/own_mail.py": {
        "request_email_change": OWN_ACCOUNT,
        "apply_change_link": OWN_ACCOUNT,
        "read_change_link": "writes nothing",
        "confirmation_link": "writes nothing",
    },
    "accounts/services.py": {"end_own_sessions": OWN_ACCOUNT, "set_language": OWN_ACCOUNT},
    "accounts/second_factor/services.py": dict.fromkeys(
        ("add_app", "add_passkey", "make_recovery_codes", "remove", "rename_passkey", "use_code"), OWN_ACCOUNT
    ),
    "accounts/sign_on/services.py": {"link": OWN_ACCOUNT, "unlink": OWN_ACCOUNT},
    "accounts/site.py": {"take_zone_of_browser": "ignores users who are not admins of the platform"},
    "audit/services.py": {"record": PART, "record_events": PART},
    "datasets/services/buckets.py": {"start_due_scans": "the sweeper calls it"},
    "datasets/services/undoing.py": {"run_undo": OF_A_JOB},
    "datasets/services/uploads.py": {"enqueue_import": PART, "with_folder": PART},
    "datasets/services/windows.py": {
        "rebuild_images_of_changed_cameras": OF_A_JOB,
        "reestimate_window": OF_A_JOB,
    },
    "jobs/services/enqueueing.py": {"enqueue": PART},
    "labeling/services/label_rows.py": dict.fromkeys(
        ("change_label", "create_label", "store_archiving", "store_restoring", "store_schema_version"), PART
    ),
    "labeling/services/prompts.py": dict.fromkeys(("create_prompt_set", "enqueue_prediction"), PART),
    "learning/services/embeddings.py": {"delete_computed": OF_A_JOB, "request_encoding": OF_A_JOB},
    "learning/services/encoder_steps.py": {"switch_over": OF_A_JOB},
    "learning/services/encoder_upkeep.py": {"record_removal": OF_A_JOB},
    "learning/services/heads.py": {"promote": OF_A_JOB, "record_head": OF_A_JOB},
    "learning/services/repeating.py": {"record_verification": OF_A_JOB},
    "learning/services/training.py": {"get_or_create_run": OF_A_JOB, "start_training": OF_A_JOB},
    "quality/services/certificates/starting.py": {"request_work": PART},
    "review/services/decisions.py": {"request_follow_up_work": PART},
    "review/services/imported.py": {
        "record_imported_labels": OF_A_JOB,
        "store_imported_labels": OF_A_JOB,
    },
    "review/services/items.py": {"update_item_after_answer": PART},
    "review/services/known_answers.py": {"lock_known_answers": PART},
    "review/services/preferences.py": {"save_preferences": OWN_ACCOUNT},
    "review/services/leases.py": {"lease_items": PART, "values_of_free": "writes nothing"},
    "review/services/undoing.py": {"record_undo": PART},
    "review/services/request_keys.py": dict.fromkeys(
        ("decision_of_key", "decisions_of_keys"), "writes nothing"
    ),
    "review/services/why.py": {"shown_of_panel": PART},
    "review/services/queue.py": {"request_refill": PART, "request_due_work": PART},
}

# Functions of these modules that pages and the API call without a user, because they only read.
READS = {
    "datasets/services/lifecycle.py": {"purge_time"},
    "accounts/services.py": {"generate_password"},
    "accounts/site.py": {"zone_name"},
    "audit/head_mail.py": {"last_mailed", "recipients", "mails_with_problems"},
    "exports/services.py": {"open_file"},
    "learning/services/encoder_changes.py": {"revert_obstacle"},
    "learning/services/encoder_upkeep.py": {"removal_obstacle"},
    "review/services/gold.py": {"known_sources"},
    "review/services/grid.py": {"needed_ms"},
}


def parameters(function: ast.FunctionDef) -> dict[str, ast.expr | None]:
    """Return the annotation of each parameter by its name."""
    arguments = function.args
    return {a.arg: a.annotation for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def checks(
    name: str, functions: dict[str, ast.FunctionDef], who: str, seen: frozenset[str] = frozenset()
) -> bool:
    """Return whether a function, or one of the same module that it calls, checks the permission of `who`."""
    for node in ast.walk(functions[name]):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called in HELPERS and node.args and ast.unparse(node.args[0]) == who:
            return True
        is_new = called in functions and called not in seen | {name}
        if is_new and checks(called, functions, who, seen | {name}):
            return True
    return False


def checked_services(source: str, exceptions: dict[str, str] | None = None) -> list[str]:
    """Return the public functions of a module that must check the permission of a user."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [
        f.name
        for f in functions
        if not f.name.startswith("_")
        and {"user", "actor"} & set(parameters(f))
        and f.name not in (exceptions or {})
    ]


def problems_of(source: str, exceptions: dict[str, str] | None = None) -> list[str]:
    """Return what is wrong with the services of a module, one sentence for each problem."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    problems = []
    for name in checked_services(source, exceptions):
        function = functions[name]
        given = parameters(function)
        who = "actor" if "actor" in given else "user"
        if not checks(name, functions, who):
            problems.append(f"{name} does not check the permission of {who}")
        annotation = given[who]
        allowed = ast.unparse(annotation) if annotation is not None else ""
        if allowed not in {"User", "User | None"}:
            problems.append(f"{name} has a {who} of type {allowed or 'Any'}")
        if "None" in allowed and "None" not in (ast.get_docstring(function) or ""):
            problems.append(f"the docstring of {name} does not say when {who} is None")
    return problems + [
        f"{name} is an exception and does not exist" for name in set(exceptions or {}) - set(functions)
    ]


def service_modules() -> Iterator[Path]:
    yield from sorted(MEKIKI.rglob("services.py"))
    yield from sorted(path for path in MEKIKI.rglob("services/**/*.py") if path.name != "__init__.py")
    yield from (MEKIKI / name for name in MORE_MODULES)


def test_every_service_checks_the_permission_of_its_user() -> None:
    problems = {}
    for path in service_modules():
        name = str(path.relative_to(MEKIKI))
        if module_problems := problems_of(path.read_text(), EXCEPTIONS.get(name)):
            problems[name] = module_problems
    assert not problems


def test_a_service_without_a_check_is_found() -> None:
    bad = "def rename(*, dataset: Dataset, user: User) -> None:\n    dataset.save()\n"
    assert problems_of(bad) == ["rename does not check the permission of user"]
    good = bad.replace("    dataset", "    require_role(user, dataset, Role.ADMIN)\n    dataset")
    assert not problems_of(good)
    assert not problems_of(bad, {"rename": "a reason"})
    # The permission of another user is no check of the user who acts.
    other = good.replace("user: User", "user: User, actor: User")
    assert problems_of(other) == ["rename does not check the permission of actor"]
    helper = "def _refuse(user: User) -> None:\n    require_platform_admin(user)\n"
    assert not problems_of(helper + bad.replace("    dataset", "    _refuse(user)\n    dataset"))
    untyped = good.replace("user: User", "user: Any")
    assert problems_of(untyped) == ["rename has a user of type Any"]
    optional = good.replace("user: User", "user: User | None")
    assert problems_of(optional) == ["the docstring of rename does not say when user is None"]
    assert problems_of(good, {"gone": "a reason"}) == ["gone is an exception and does not exist"]


def services_without_user() -> dict[str, set[str]]:
    """Return the public services without a user or actor by their module."""
    return {
        str(path.relative_to(MEKIKI)): {
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)
            and not node.name.startswith("_")
            and not {"user", "actor"} & set(parameters(node))
        }
        for path in service_modules()
    }


def modules_for_users() -> Iterator[Path]:
    """Yield the modules of pages and of the API."""
    yield from MEKIKI.rglob("*views.py")
    for folder in ("views", "api", "gallery"):
        yield from MEKIKI.rglob(f"{folder}/*.py")


def imported_services(tree: ast.Module) -> dict[str, str]:
    """Return the services module (its path) for each name that a module imports from or as one."""
    services = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("mekiki."):
            continue
        folder = (node.module or "").removeprefix("mekiki.").replace(".", "/")
        for alias in node.names:
            services[alias.asname or alias.name] = f"{folder}/{alias.name}"
    return services


def calls_without_user(source: str, without: dict[str, set[str]]) -> set[str]:
    """Return the calls in a module of pages of services that take no user."""
    tree = ast.parse(source)
    imported = imported_services(tree)
    calls = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        full = ast.unparse(node.func).split(".")
        path = "/".join([imported.get(full[0], ""), *full[1:]])
        module, _, name = path.rpartition("/")
        for candidate, names in without.items():
            here = candidate.removesuffix(".py")
            if name in names and (
                module == here or (module.endswith("services") and here.startswith(f"{module}/"))
            ):
                calls.add(f"{candidate}:{name}")
    return calls


def test_pages_and_api_name_the_user_to_every_service() -> None:
    without = services_without_user()
    calls = {call for path in modules_for_users() for call in calls_without_user(path.read_text(), without)}
    assert calls == {f"{module}:{name}" for module, names in READS.items() for name in names}


def test_a_call_without_a_user_is_found() -> None:
    without = {"review/services/queue.py": {"refill"}}
    for source in (
        "from mekiki.review import services\nservices.refill(dataset=dataset)\n",
        "from mekiki.review.services import refill\nrefill(dataset=dataset)\n",
        "from mekiki.review.services.queue import refill as fill\nfill(dataset=dataset)\n",
    ):
        assert calls_without_user(source, without) == {"review/services/queue.py:refill"}
