"""The hostile cases: what a stranger sends, what happens, and which tests show it. docs/security.md has the table."""

from __future__ import annotations

from dataclasses import dataclass

# What known incidents and the facts of sandboxes teach, and the ten risks of https://owasp.org/www-project-top-10-ci-cd-
# security-risks/. Each has to be met by some case.
LISTS = {
    "CodeRabbit": "a linter's configuration ran code beside the App's key (August 2025)",
    "PR-Agent, settings": "a comment's arguments overrode settings",
    "PR-Agent, signature": "without a secret, signatures were not checked",
    "injection": "an agent took its orders from a pull request's text while it held a write token",
    "tj-actions": "secrets in logs (also reviewdog)",
    "tree": "processes that survive their command",
    "uid 0": "limits on processes do not bind root",
    "memory": "memory and processes without control groups",
    "tools execute": "pylint, mypy, flake8, pytest, setup.py and npm run a repository's code",
    "ruff extend": "a tool prints a file of the machine",
    "bare repository": "an embedded repository runs `core.fsmonitor`",
    "links": "a link leads outside",
    "names": "a file's name is taken for an option",
    "git": "configuration, hooks, submodules, LFS, transports, tokens in addresses",
    "SEC-1": "insufficient flow control",
    "SEC-2": "inadequate identity and access management",
    "SEC-3": "dependency chain abuse",
    "SEC-4": "poisoned pipeline execution",
    "SEC-5": "insufficient pipeline-based access controls",
    "SEC-6": "insufficient credential hygiene",
    "SEC-7": "insecure system configuration",
    "SEC-8": "ungoverned usage of third-party services",
    "SEC-9": "improper artifact integrity validation",
    "SEC-10": "insufficient logging and visibility",
}

BWRAP = "tests/workers/sandbox/test_bubblewrap.py"
VIEWS = "tests/workers/sandbox/test_views.py"
PROXY = "tests/workers/sandbox/test_proxy.py"
CHOICE = "tests/workers/sandbox/test_choice.py"
GIT = "tests/workers/test_git.py"
TREES = "tests/workers/test_trees.py"
FORKS = "tests/flow/test_forks.py"
BASE_CONFIGS = "tests/workers/agents/test_base_configs.py"
PEOPLE = "tests/flow/test_people.py"
TRUST = "tests/flow/test_trust.py"
APPROVALS = "tests/flow/test_approvals.py"
SECRETS = "tests/flow/test_env_secrets.py"
TEXT = "tests/flow/test_hostile_text.py"
REVIEW = "tests/workers/agents/review/test_injections.py"
TOOLS = "tests/workers/tools/test_hostile.py"
HERE = "tests/hostile"
INSIDE = f"{HERE}/test_git_inside.py"


@dataclass(frozen=True)
class Case:
    """`what` comes in and what `happens`, in Markdown; `tests` are `file::function`, `met` names of `LISTS`."""

    what: str
    happens: str
    tests: tuple[str, ...]
    met: tuple[str, ...] = ()


CASES = (
    # -- code that is executed
    Case(
        "approved code searches disk, environment, processes, loopback and Redis for canaries",
        "it reaches none, and none is in anything that leaves",
        (f"{HERE}/test_canaries.py::test_nothing_is_reached_and_nothing_leaves",),
        ("CodeRabbit", "SEC-5", "SEC-6"),
    ),
    Case(
        "code reads the App's key, another checkout, or a link to them",
        "no such file",
        (f"{BWRAP}::test_attack_is_held", f"{BWRAP}::test_attack_gets_through_with_its_wall_down"),
        ("CodeRabbit", "links", "SEC-5"),
    ),
    Case(
        "code calls a server on the loopback, or the host by vsock",
        "no such network",
        (f"{BWRAP}::test_attack_is_held",),
        ("SEC-5",),
    ),
    Case("code connects to Redis' socket", "no such file", (f"{BWRAP}::test_attack_is_held",), ("SEC-5",)),
    Case(
        "code makes itself a namespace with capabilities",
        "refused by seccomp",
        (f"{BWRAP}::test_attack_is_held",),
        ("SEC-7",),
    ),
    Case(
        "code writes to the checkout that others share",
        "read-only",
        (f"{BWRAP}::test_attack_is_held", f"{BWRAP}::test_one_agents_files_are_not_anothers"),
        ("SEC-9",),
    ),
    Case(
        "code that may write changes, renames, links and removes all that its view of that checkout shows",
        "the files below and all other views stay as they are",
        (
            f"{VIEWS}::test_whatever_is_done_to_a_view_the_files_below_stay_as_they_are",
            f"{VIEWS}::test_without_a_view_the_same_is_done_to_the_shared_files",
        ),
        ("SEC-9",),
    ),
    Case(
        "code forges what the kernel notes of a view, to be shown another folder",
        "it is refused, or no note",
        (f"{VIEWS}::test_what_the_kernel_notes_of_a_view_cannot_be_forged",),
        ("links", "SEC-9"),
    ),
    Case(
        "code looks for the layers of its view, or fills the disk through it",
        "it sees its files only; it is bounded as a copy is",
        (
            f"{VIEWS}::test_a_command_sees_nothing_of_a_view_but_its_files",
            f"{VIEWS}::test_what_is_written_to_a_view_counts_against_the_disk",
        ),
    ),
    Case(
        "code mounts, traces, loads programs into the kernel",
        "refused",
        (f"{BWRAP}::test_what_only_root_may_do_is_refused",),
        ("SEC-7",),
    ),
    Case(
        "code looks at Assay's environment and processes",
        "it sees its own only",
        (f"{BWRAP}::test_nothing_of_the_environment_comes_along", f"{BWRAP}::test_other_processes_are_not_seen"),
        ("SEC-6",),
    ),
    Case(
        "a fork bomb",
        "bounded, though Assay be root",
        (f"{BWRAP}::test_a_fork_bomb_is_bounded_and_ends_with_it", f"{BWRAP}::test_a_command_is_nobody_without_rights"),
        ("uid 0", "memory"),
    ),
    Case(
        "a memory bomb, in one process or in many, or by files in `/tmp`",
        "bounded",
        (f"{BWRAP}::test_memory_is_bounded", f"{BWRAP}::test_memory_of_all_processes_together_is_bounded"),
        ("memory",),
    ),
    Case(
        "a full disk, a file without end",
        "bounded",
        (f"{BWRAP}::test_the_disk_is_bounded", f"{BWRAP}::test_a_file_is_bounded"),
    ),
    Case(
        "a process that leaves its session",
        "ended with the command",
        (f"{BWRAP}::test_nothing_is_left_behind",),
        ("tree",),
    ),
    Case(
        "a command that outlives its run, or Assay",
        "ended",
        (f"{BWRAP}::test_it_ends_when_the_work_is_called_off", f"{BWRAP}::test_it_ends_with_its_parent"),
        ("tree",),
    ),
    Case(
        "`ASSAY_SANDBOX=none`, and a stranger's commit that somebody approved",
        "it is not executed; what is the operator's own is, under a warning on its checks",
        (
            f"{HERE}/test_without_sandbox.py::test_a_strangers_code_is_not_executed_though_it_is_approved",
            f"{HERE}/test_without_sandbox.py::test_who_starts_without_a_sandbox_is_warned",
        ),
        ("CodeRabbit", "SEC-7"),
    ),
    Case(
        "no sandbox works",
        "nothing is executed, and the check says so",
        (f"{CHOICE}::test_without_bubblewrap_nothing_is_executed",),
        ("SEC-7",),
    ),
    Case(
        "a set-up fetches from another host, a private address, by a redirect or by DNS",
        "refused",
        (
            f"{PROXY}::test_everything_else_is_refused_with_a_word",
            f"{PROXY}::test_a_set_up_reaches_the_registry_and_nothing_else",
        ),
        ("SEC-3", "SEC-8"),
    ),
    Case(
        "a registry's name that leads to a private address",
        "refused",
        (f"{PROXY}::test_a_registry_that_leads_to_a_private_address_is_refused_unless_it_was_named",),
        ("SEC-3",),
    ),
    # -- repositories
    Case(
        "a repository inside the repository, with `core.fsmonitor`",
        "not entered",
        (f"{HERE}/test_repositories.py::test_a_repository_within_is_not_entered",),
        ("bare repository",),
    ),
    Case(
        "a commit whose files make git itself do what it should not",
        "it is in a sandbox: it reads the mirror, writes to the commit's folder, and reaches nothing else",
        (
            f"{INSIDE}::test_git_that_writes_files_is_in_namespaces_of_its_own_and_reaches_nothing_else",
            f"{INSIDE}::test_without_the_sandbox_the_same_git_sees_and_writes_all_of_that",
            f"{INSIDE}::test_links_that_a_git_gone_wrong_leaves_lead_nobody_outside",
        ),
        ("git", "links", "SEC-7"),
    ),
    Case(
        "a link to `/etc/passwd`, a submodule",
        "a file with that text, an empty folder",
        (f"{TREES}::test_links_become_files_and_submodules_folders",),
        ("links",),
    ),
    Case(
        "`.gitmodules` with `ext::`, `file:`, options, `update = !`",
        "fetched from nowhere",
        (f"{HERE}/test_repositories.py::test_submodules_are_fetched_from_nowhere",),
        ("git",),
    ),
    Case(
        "`.gitattributes` with filters, textconv, drivers; hooks",
        "none runs",
        (
            f"{HERE}/test_repositories.py::test_a_program_that_attributes_name_for_differences_does_not_run",
            f"{TREES}::test_filters_and_hooks_of_the_repository_do_not_run",
        ),
        ("git", "SEC-4"),
    ),
    Case(
        "an LFS pointer and `.lfsconfig`",
        "a text",
        (f"{HERE}/test_repositories.py::test_a_pointer_to_large_files_is_a_text",),
        ("git", "SEC-8"),
    ),
    Case(
        "names with `..`, `/`, or of a `.git` folder in a tree",
        "refused",
        (
            f"{HERE}/test_repositories.py::test_a_name_that_leads_out_of_the_tree_writes_nothing_there",
            f"{TREES}::test_tree_that_would_write_a_git_directory_is_refused",
        ),
        ("git",),
    ),
    Case(
        "files called `--config=evil`, `-rf`, with line ends or unseen characters",
        "files and nothing else",
        (f"{TOOLS}::test_files_come_after_a_double_dash", f"{TREES}::test_odd_names_are_written_as_they_are"),
        ("names",),
    ),
    Case(
        "trees within trees, 10^n files of a few bytes",
        "bounded",
        (f"{TREES}::test_trees_within_trees_without_end_are_not_written",),
    ),
    Case(
        "a server that redirects, other transports",
        "not followed, not used",
        (f"{GIT}::test_redirects_are_not_followed", f"{GIT}::test_other_transports_are_not_used"),
        ("git",),
    ),
    Case(
        "whoever may look at `/proc` while git fetches",
        "no token in arguments, environment or files",
        (f"{GIT}::test_token_is_sent_and_stands_in_no_argument_environment_or_file",),
        ("git", "SEC-6"),
    ),
    # -- configuration of tools and of Assay
    Case(
        "`conftest.py`, `setup.py`, npm scripts, `Makefile`, `build.rs`, plugins of a stranger's",
        "not executed",
        (
            f"{HERE}/test_configurations.py::test_nothing_that_configuration_names_is_executed",
            f"{FORKS}::test_code_is_not_executed_and_a_person_has_to_decide",
        ),
        ("tools execute", "SEC-4"),
    ),
    Case(
        '`ruff.toml` with `extend = "/etc/passwd"`',
        "not honoured",
        (f"{HERE}/test_configurations.py::test_ruff_prints_no_file_of_the_machine",),
        ("ruff extend", "CodeRabbit"),
    ),
    Case(
        "`.shellcheckrc` and directives that read files outside",
        "not read",
        (f"{HERE}/test_configurations.py::test_a_file_that_shellcheck_is_told_to_read_is_not_read",),
        ("CodeRabbit",),
    ),
    Case(
        "`.yamllint` that extends a file outside",
        "not honoured",
        (f"{HERE}/test_configurations.py::test_yamllint_extends_no_file_of_the_machine",),
        ("ruff extend",),
    ),
    Case(
        "`.sqlfluff` with a library of Python",
        "not executed",
        (f"{HERE}/test_configurations.py::test_sqlfluff_loads_no_code_of_a_strangers",),
        ("CodeRabbit", "SEC-4"),
    ),
    Case(
        "a baseline of secrets, switched-off rules of bandit and zizmor",
        "not honoured",
        (
            f"{HERE}/test_configurations.py::test_a_strangers_baseline_makes_no_secret_known",
            f"{HERE}/test_configurations.py::test_a_stranger_turns_no_rule_of_a_scanner_off",
            f"{HERE}/test_configurations.py::test_a_stranger_turns_no_rule_about_workflows_off",
        ),
        ("SEC-4",),
    ),
    Case(
        "configuration of tools that a stranger changes, moves, removes, or puts a folder or a link in the way of",
        "the base branch's counts",
        (
            f"{BASE_CONFIGS}::test_what_a_stranger_turns_off_stays_on_and_what_the_base_turns_off_stays_off",
            f"{BASE_CONFIGS}::test_a_configuration_that_a_stranger_removes_counts",
            f"{BASE_CONFIGS}::test_files_that_the_base_s_configuration_leads_to_count_as_the_base_has_them",
            f"{BASE_CONFIGS}::test_what_a_stranger_puts_in_the_way_is_put_aside",
            f"{BASE_CONFIGS}::test_links_of_a_stranger_lead_nowhere",
        ),
        ("SEC-4",),
    ),
    Case(
        "`.github/assay.yml` of a fork that switches checks off, or names its author trusted",
        "the base branch's counts",
        (f"{FORKS}::test_configuration_is_the_base_branch_s", f"{TRUST}::test_nobody_names_themselves"),
        ("SEC-1", "SEC-4"),
    ),
    Case(
        "an address in every setting of `.github/assay.yml`, a fork's or the base branch's",
        "Assay and its commands connect to GitHub and Redis only",
        (
            f"{HERE}/test_hosts.py::test_no_setting_makes_anybody_connect",
            f"{HERE}/test_hosts.py::test_every_setting_that_takes_a_free_text_is_tried",
            f"{HERE}/test_hosts.py::test_the_listener_and_the_look_at_connections_would_have_told",
        ),
        ("SEC-3", "SEC-8"),
    ),
    Case(
        "who takes the publisher's token",
        "it writes checks and pull requests of one repository; the right to contents is given back when it was used",
        (
            "tests/flow/test_publishing.py::test_the_right_to_write_contents_is_given_back_at_once",
            "tests/github/test_tokens.py::test_a_token_that_is_let_go_is_revoked_and_never_used_again",
        ),
        ("SEC-2", "SEC-5", "SEC-6"),
    ),
    Case(
        "YAML with aliases, tags, depth, millions of nodes",
        "refused, with the line",
        ("tests/config/test_reading.py::test_yaml_beyond_the_plain_part_is_refused",),
    ),
    Case(
        "a glob or line pattern that makes matching explode",
        "linear time",
        (
            "tests/domain/test_glob.py::test_no_pattern_takes_for_ever",
            "tests/workers/tools/test_errorformat.py::test_no_pattern_takes_long",
        ),
    ),
    # -- people
    Case(
        "a file or an output that makes a pattern of Assay's own go back over it again and again",
        "every pattern takes its time for a text's length, whatever is in it",
        (f"{HERE}/test_regexes.py::test_no_pattern_takes_for_ever",),
    ),
    Case(
        "a stranger, a reader, or the author approves",
        "nothing happens",
        (
            f"{PEOPLE}::test_nobody_approves_their_own_commit",
            f"{PEOPLE}::test_who_may_not_write_gives_no_orders_and_gets_no_answer",
        ),
        ("SEC-1", "SEC-2"),
    ),
    Case(
        "a payload that claims that its author is an owner",
        "GitHub's API is asked",
        (f"{PEOPLE}::test_what_a_payload_says_of_its_author_counts_for_nothing",),
        ("SEC-2",),
    ),
    Case(
        "a push between the reading and the approval",
        "the new commit is not approved",
        (
            f"{PEOPLE}::test_a_push_between_the_reading_and_the_word_is_not_approved",
            f"{APPROVALS}::test_the_next_push_asks_again_and_shows_what_changed",
        ),
        ("SEC-1",),
    ),
    Case(
        "a forced push that hides what it takes back",
        "it is among what changed",
        (f"{APPROVALS}::test_a_rewritten_history_hides_nothing",),
        ("SEC-1",),
    ),
    Case(
        "an approval of weeks ago",
        "it has ended",
        (
            f"{APPROVALS}::test_an_approval_ends",
            f"{APPROVALS}::test_what_waits_in_a_queue_when_its_approval_ends_is_not_executed",
        ),
        ("SEC-2",),
    ),
    Case(
        "a push that changes `tox.ini` where approvals carry over",
        "asked anew",
        (f"{APPROVALS}::test_an_approval_carries_over_by_policy_only",),
        ("SEC-1",),
    ),
    Case(
        "pushes, approvals, ends, reruns and late workers in any order",
        "nothing is executed without a live approval",
        ("tests/intake/test_approvals_property.py::test_nothing_is_executed_without_an_approval_that_holds",),
        ("SEC-1", "SEC-5"),
    ),
    Case(
        "a writer presses Re-run where that takes a maintainer",
        "refused, and told on the check",
        (f"{TRUST}::test_githubs_own_buttons_take_the_same_permission",),
        ("SEC-2",),
    ),
    Case(
        "an approval that names a short SHA, a branch, an option",
        "approves nothing",
        (f"{HERE}/test_payloads.py::test_an_approval_that_names_no_whole_commit_approves_nothing",),
        ("SEC-1",),
    ),
    Case(
        "orders with arguments that would set something; orders without end",
        "a short grammar; thirty an hour",
        (
            "tests/domain/test_commands.py::test_what_is_not_understood_is_told_and_does_nothing",
            f"{PEOPLE}::test_a_person_gives_so_many_orders_an_hour",
        ),
        ("PR-Agent, settings",),
    ),
    Case(
        "orders in quotations, code, edited comments, by bots",
        "no orders",
        (f"{HERE}/test_payloads.py::test_what_is_no_order_is_ignored",),
        ("PR-Agent, settings", "SEC-2"),
    ),
    # -- webhooks
    Case(
        "no signature, a wrong one, SHA-1, no secret configured",
        "401; no start",
        (
            "tests/test_web.py::test_wrong_or_missing_signature_is_401_and_leaves_no_trace",
            "tests/github/test_signature.py::test_without_a_secret_nothing_is_genuine",
        ),
        ("PR-Agent, signature", "SEC-7"),
    ),
    Case(
        "payloads with paths, options, line ends and huge numbers for names, SHAs and ids",
        "refused, not repeated",
        (f"{HERE}/test_payloads.py::test_a_payload_of_another_shape_is_refused_and_not_repeated",),
        ("names",),
    ),
    Case(
        "another App's check with our name and our button",
        "ignored",
        (f"{HERE}/test_payloads.py::test_what_is_no_order_is_ignored",),
        ("SEC-2", "SEC-8"),
    ),
    Case(
        "bodies that are large, deep, slow, many, or all escapes",
        "under 300 MB and 2 s",
        (
            f"{HERE}/test_web.py::test_many_of_the_largest_bodies_at_once",
            f"{HERE}/test_web.py::test_signed_payloads_that_blow_up",
            f"{HERE}/test_web.py::test_bodies_that_never_end_hold_nobody_up",
        ),
    ),
    Case(
        "an installation or repository that the operator does not serve",
        "refused, with the reason",
        ("tests/flow/test_service.py::test_what_is_not_served_is_refused_with_the_reason",),
        ("SEC-8",),
    ),
    # -- what tools, reports and models say
    Case("reports with entities, external entities, depth", "refused", (f"{HERE}/test_bombs.py::test_xml",)),
    Case(
        "an archive of 300 kB that a set-up unpacks to 300 MB",
        "ended at the limit of the disk, and told of",
        (f"{HERE}/test_bombs.py::test_an_archive_that_a_set_up_unpacks",),
    ),
    Case(
        "JSON without end, 120,000 results, words of megabytes",
        "bounded, and told of",
        (
            f"{HERE}/test_bombs.py::test_json",
            f"{HERE}/test_bombs.py::test_sarif_with_very_many_results_tells_how_many_are_left_out",
            f"{HERE}/test_bombs.py::test_a_finding_with_very_long_words_is_cut",
        ),
    ),
    Case(
        "a report that is a link, a pipe, a device, a socket, a terabyte",
        "not read, and nothing waits",
        (
            f"{HERE}/test_leftovers.py::test_a_report_that_is_none_is_an_error_and_not_read",
            f"{HERE}/test_leftovers.py::test_neither_are_reports_of_tests_and_of_coverage",
        ),
        ("links", "SEC-9"),
    ),
    Case(
        "a report that names a file outside as its place",
        "its place is dropped",
        (f"{HERE}/test_leftovers.py::test_a_finding_outside_of_the_tree_shows_nothing_of_its_place",),
        ("links",),
    ),
    Case(
        "a tool that crashes, or prints nonsense",
        "an error, never clean",
        (f"{TOOLS}::test_no_tool_that_did_not_end_well_is_believed",),
        ("SEC-9",),
    ),
    Case(
        "@mentions, links, images, HTML, markers of ours, unseen characters",
        "shown, inert",
        (
            f"{TEXT}::test_words_of_strangers_do_nothing_anywhere",
            f"{TEXT}::test_comment_of_a_person_with_our_marker_is_not_taken_for_ours",
        ),
        ("injection",),
    ),
    Case(
        "a change's text that tells the reviewer what to say",
        "text, and no orders",
        (f"{REVIEW}::test_steering_words_change_nothing_but_text",),
        ("injection",),
    ),
    Case(
        "a model that obeys the stranger",
        "it can leave out, or name lines of the diff",
        (f"{REVIEW}::test_a_model_that_obeys_can_only_leave_out_or_name_lines_of_the_diff",),
        ("injection",),
    ),
    # -- secrets
    Case(
        "a secret in the change",
        "told of by kind and place; in no comment, log, Redis or prompt",
        (
            f"{TEXT}::test_secret_in_the_change_is_told_of_and_not_repeated",
            f"{REVIEW}::test_a_secret_in_the_change_is_neither_sent_nor_written_back",
        ),
        ("tj-actions", "SEC-6", "SEC-10"),
    ),
    Case(
        "secrets in base64, broken over lines, URL-encoded",
        "masked",
        (
            "tests/domain/test_redact.py::test_a_secret_never_survives",
            "tests/domain/test_redact.py::test_known_shapes_are_masked_across_lines",
        ),
        ("tj-actions",),
    ),
    Case(
        "a command that prints the operator's secrets",
        "masked",
        (f"{SECRETS}::test_a_trusted_commits_command_gets_what_it_names_and_nobody_sees_it",),
        ("tj-actions", "SEC-6"),
    ),
    Case(
        "a stranger's commit, approved or not, or another repository that wants them",
        "they are not given",
        (
            f"{SECRETS}::test_a_strangers_commit_gets_none_not_even_when_it_is_approved",
            f"{SECRETS}::test_a_secret_of_another_repository_is_none",
        ),
        ("SEC-6",),
    ),
    Case(
        "whoever reads the memory, environment or open files of an agent's process",
        "neither the App's key nor its webhook secret was ever there",
        (
            f"{HERE}/test_credentials.py::test_only_those_hold_the_apps_credentials_that_need_them",
            f"{HERE}/test_credentials.py::test_one_that_is_started_again_holds_none_either",
        ),
        ("CodeRabbit", "SEC-5", "SEC-6"),
    ),
    Case(
        "whoever reads Redis, or takes an agents' machine",
        "sealed tokens that read one repository",
        (
            "tests/test_handover.py::test_what_lies_in_redis_is_sealed_and_short_lived",
            "tests/flow/test_machines.py::test_agents_work_on_a_machine_without_the_key",
        ),
        ("SEC-6",),
    ),
    Case(
        "a repository that names an image of its own",
        "none but those that the operator allows",
        (
            "tests/workers/sandbox/test_container.py::test_a_repositorys_image_is_used_where_the_operator_allows_it",
            "tests/workers/sandbox/test_container.py::test_without_containers_a_repositorys_image_is_not_stood_in_for",
        ),
        ("SEC-3", "SEC-8"),
    ),
    # -- integrity
    Case(
        "a stranger's result, memory or set-up that would serve a trusted commit",
        "kept apart by trust",
        (
            "tests/workers/test_memory.py::test_what_a_strangers_commit_left_never_serves_a_trusted_one",
            "tests/workers/test_reuse.py::test_whatever_the_result_depends_on_changes_the_digest",
        ),
        ("SEC-9",),
    ),
    Case(
        "a fork's pull request for a commit of ours",
        "it does not take its run over",
        (f"{FORKS}::test_fork_of_a_commit_of_ours_does_not_take_its_run_over",),
        ("SEC-1",),
    ),
    Case(
        "somebody asks who let that be executed",
        "the log says who, when, and what they saw",
        (f"{APPROVALS}::test_show_tells_who_approved_what_and_what_they_saw",),
        ("SEC-10",),
    ),
)


def table() -> str:
    """The table of docs/security.md."""
    rows = (
        (str(number), case.what, case.happens, "<br>".join(f"`{test}`" for test in case.tests), ", ".join(case.met))
        for number, case in enumerate(CASES, 1)
    )
    head = ("| | comes in | happens | shown by | list |", "| --- | --- | --- | --- | --- |")
    return "\n".join((*head, *(f"| {' | '.join(row)} |" for row in rows)))


def lists() -> str:
    """What the names in its last column mean."""
    return "\n".join(("| name | what |", "| --- | --- |", *(f"| {name} | {words} |" for name, words in LISTS.items())))
