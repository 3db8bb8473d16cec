"""`run.sh`: a build plan as a POSIX shell script, for machines without LiftFlow."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hw_targets.flows.tools import Tool

if TYPE_CHECKING:
    from hw_targets.flows.plan import BuildPlan, Step

_PREAMBLE = """\
set -e
cd "$(dirname "$0")"
mkdir -p logs

# A step is done when the plan, its inputs and its products are what they were when it ended.
is_done() {
  sha256sum --status --check "logs/$1.sha256" 2> /dev/null && echo "$1: unchanged"
}
# A tool that comes to no end is ended with all that it started. It runs in the background, as
# `timeout` keeps Ctrl-C from it.
limited() {
  minutes="${LIFTFLOW_MINUTES:-$1}"
  shift
  if command -v timeout > /dev/null; then
    timeout -k 10 "${minutes}m" "$@" < /dev/null &
  else
    "$@" < /dev/null &
  fi
  tool=$!
  trap 'kill "$tool"; exit 130' INT TERM HUP
  status=0
  wait "$tool" || status=$?
  trap - INT TERM HUP
  return "$status"
}
failed() {
  if [ "$status" = 124 ]; then
    echo "error: $1 came to no end in $minutes minutes and was ended;" \
      "its log is $(pwd)/logs/$1.log; set LIFTFLOW_MINUTES for more time" >&2
    exit 1
  fi
  reason="$(grep -i -m 1 -E 'error[]:]|fatal' "logs/$1.log" || tail -n 1 "logs/$1.log")"
  echo "error: $1 failed: $reason" >&2
  echo "the log is $(pwd)/logs/$1.log" >&2
  exit 1
}
left_out() {
  echo "error: $1 failed: left no $2" >&2
  echo "the log is $(pwd)/logs/$1.log" >&2
  exit 1
}
missing() {
  echo "error: $1 is missing: $2" >&2
  exit 127
}
"""


def script(plan: BuildPlan) -> str:
    """The steps of `plan`, with native or YoWASP tools; interrupted, it goes on where it stopped.

    It needs a POSIX shell and sha256sum; with `timeout`, steps have their time limits.
    """
    lines = [
        "#!/bin/sh",
        f"# Build of {plan.name}; plan {plan.digest[:16]}.",
        "# A tool can be named by hand, as in YOSYS=/opt/bin/yosys ./run.sh",
        _PREAMBLE,
    ]
    for tool in plan.tools:
        variable = _variable(tool)
        found = " || ".join(f"command -v {name}" for name in tool.commands) + " || true"
        lines += [
            f'{variable}="${{{variable}:-$({found})}}"',
            f'[ -n "${variable}" ] || missing {tool.name} {shlex.quote(tool.get)}',
        ]
    for step in plan.steps:
        lines += _step(step)
    return "\n".join(lines) + "\n"


def _step(step: Step) -> list[str]:
    products = _words(step.products)
    files = _words(["plan.json", *step.inputs, *step.products])
    attempts = [_call(step, arguments) for arguments in step.attempts]
    return [
        "",
        f"if ! is_done {step.name}; then",
        f"  echo {step.name}",
        f"  mkdir -p {_words(sorted({_folder(name) for name in step.products}))}",
        *(f"  {attempt} || \\" for attempt in attempts),
        f"    failed {step.name}",
        f"  for product in {products}; do",
        f'    [ -s "$product" ] || left_out {step.name} "$product"',
        "  done",
        f"  sha256sum {files} > logs/{step.name}.sha256",
        "fi",
    ]


def _folder(name: str) -> str:
    return name.rpartition("/")[0] or "."


def _words(texts: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, texts))


def _variable(tool: Tool) -> str:
    return tool.name.upper().replace("-", "_")


def _call(step: Step, arguments: tuple[str, ...]) -> str:
    tool = f'limited {step.minutes:g} "${_variable(step.tool)}"'
    return f"{tool} {_words(arguments)} > logs/{step.name}.log 2>&1"
