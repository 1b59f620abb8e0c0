"""Configuration files that more than one test reads."""

# The example of the design, whole, with the quotes that the first `setup` lacks there.
DESIGN = """
version: 1
triggers:
  push: [main, "release/**"]
  pull_request: {drafts: false}
  schedule: [{cron: "0 3 * * 1", agents: [security]}]
agents:
  test:     {setup: 'pip install -e ".[test]"', run: pytest, timeout: 10m, paths: ["src/**", "tests/**"]}
  lint:     {tools: auto, report: added, fail_on: warning}
  security: {fail_on: high}
  review:
    instructions: Prefer small functions.
    rules: [{paths: ["api/**"], instructions: Every endpoint checks permissions.}]
    fail_on: never
    max_comments: 5
    budget: {run: 0.50, month: 50}
  docs:     {run: mkdocs build --strict, format: exit-code, required: false}   # any command is an agent
approvals: {fork_run: always, apply_fix: write}
commands:  {who: write}
notify:    [{to: slack, url_secret: SLACK_URL, when: failed}]
workflows:
  pr-review: {steps: [{agent: review, full: true}, {comment: summary}]}
"""

GOOD = (
    DESIGN,
    "version: 1",
    "agents: {test: , lint: {}}",
    "agents: {test: {timeout: 90}}",
    "agents: {test: {timeout: 1h30m}}",
    "agents: {test: {paths: 'src/**', on: push, run: , setup: null}}",
    "agents: {lint: {tools: [ruff, shellcheck]}}",
    "agents: {docs: {run: make, format: sarif, output: out.sarif}}",
    "agents: {docs: {uses: spelling, words: [a]}}",
    "agents: {review: {budget: {run: 1}, max_comments: 0}}",
    "triggers: {pull_request: false, push: []}",
    "triggers: {pull_request: true, push: main}",
    "approvals: {carry_over: sources, expire: 7d, remind: 36h}",
)

BAD = (
    "version: 2",
    "version: true",
    "version: '1'",
    "trigers: {}",
    "agents: 3",
    "agents: {test: {timeout: 10x}}",
    "agents: {test: {timeout: 0}}",
    "agents: {test: {timeout: 7000000}}",
    "agents: {test: {timeout: true}}",
    "agents: {test: {enabled: yes}}",
    "agents: {test: {run: 5}}",
    "agents: {test: {paths: ['']}}",
    "agents: {test: {on: [pull]}}",
    "agents: {lint: {tools: ruff}}",
    "agents: {lint: {fail_on: hihg}}",
    "agents: {lint: {fail_on: {risk: 3}}}",
    "agents: {docs: {timeout: 5m}}",
    "agents: {docs: }",
    "agents: {docs: {uses: }}",
    "agents: {docs: {run: ''}}",
    "agents: {Docs: {run: x}}",
    "agents: {config: {run: x}}",
    "agents: {docs: {run: x, tools: auto}}",
    "agents: {review: {max_comments: '5'}}",
    "agents: {review: {rules: [{paths: a}]}}",
    "agents: {review: {budget: {run: -1}}}",
    "triggers: {pull_request: no}",
    "triggers: {schedule: [{agents: test}]}",
    "notify: {to: slack}",
    "approvals: {fork_run: true}",
    "approvals: {fork_run: never}",
    "approvals: {carry_over: always}",
    "approvals: {expire: 3000000}",
    "approvals: {expire: 1}",
)
