/** `on`: only the inputs have a meaning here, for whoever runs a workflow says so himself. */
import type { EventSyntax } from "../WorkflowSyntax.ts"
import * as Availability from "./availability.ts"
import { isNothing, readEntries, readFields, readInputs, readLiterals, wrongType } from "./fields.ts"
import { didYouMean, type Source } from "./source.ts"
import type { Node } from "./yaml.ts"

const events = (
  "branch_protection_rule check_run check_suite create delete deployment deployment_status discussion discussion_comment fork gollum " +
  "image_version issue_comment issues label merge_group milestone page_build project project_card project_column public pull_request " +
  "pull_request_comment pull_request_review pull_request_review_comment pull_request_target push registry_package release " +
  "repository_dispatch schedule status watch workflow_call workflow_dispatch workflow_run"
).split(" ")

const filters =
  "types branches branches-ignore tags tags-ignore paths paths-ignore workflows names inputs secrets outputs version versions".split(
    " "
  )

export const readEvents = (source: Source, node: Node): ReadonlyArray<EventSyntax> => {
  if (node.kind !== "mapping") {
    if (isNothing(node)) {
      source.report("missing-key", node.range, "`on` names no event")
      return []
    }
    return readLiterals(source, node, "An event").map(({ range, value }) => {
      checkName(source, value, range)
      return { name: value, range, inputs: [] }
    })
  }
  return readEntries(source, node, "`on`").map(({ key, keyRange, value }) => {
    checkName(source, key, keyRange)
    if (isNothing(value)) return { name: key, range: keyRange, inputs: [] }
    if (key === "schedule") {
      if (value.kind !== "sequence") wrongType(source, value, "`schedule`", "a list")
      return { name: key, range: keyRange, inputs: [] }
    }
    const fields = readFields(source, value, `The event "${key}"`, filters)
    const inputs =
      key === "workflow_dispatch" || key === "workflow_call"
        ? readInputs(
            source,
            fields?.get("inputs"),
            "`inputs`",
            ["description", "type", "required", "default", "options", "deprecationMessage"],
            Availability.inputDefault
          )
        : []
    return { name: key, range: keyRange, inputs }
  })
}

const checkName = (source: Source, name: string, range: EventSyntax["range"]) => {
  if (!events.includes(name)) {
    source.report("bad-value", range, `There is no event "${name}"`, { hint: didYouMean(name, events) })
  }
}
