/**
 * Why a Dockerfile is not built: said before a pod exists, with the line, its text, the reason, and who can change it.
 */
import * as Schema from "effect/Schema"

/**
 * A Dockerfile, or its context, that cannot be built here.
 *
 * @category errors
 */
export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", {
  /** The first line of the instruction, from 1; 0 if it is about no line. */
  line: Schema.Int,
  /** The instruction as it is written. */
  text: Schema.String,
  /** What is wrong, as the end of a sentence that begins with the text. */
  detail: Schema.String,
  /** Who can change it: whoever wrote the action, or whoever runs the runner. */
  who: Schema.Literals(["author", "administrator"]),
  /** What they can do. */
  hint: Schema.String
}) {
  override get message() {
    return this.line === 0 ? this.detail : `Dockerfile line ${this.line}: '${excerpt(this.text)}' ${this.detail}`
  }
  /** `Administrator: set ...`. */
  get advice() {
    return `${this.who === "author" ? "Author of the action" : "Administrator"}: ${this.hint}`
  }
}

/**
 * Where something stands in a Dockerfile.
 *
 * @category models
 */
export interface At {
  readonly line: number
  readonly text: string
}

/**
 * The Dockerfile itself is wrong: no builder takes it.
 *
 * @category constructors
 */
export const invalid = (at: At, detail: string, hint = "correct the line."): Refusal =>
  new Refusal({ line: at.line, text: at.text, detail: `is not valid: ${detail}`, who: "author", hint })

/**
 * The Dockerfile is good, but only an image builder can do it.
 *
 * @category constructors
 */
export const needsBuilder = (at: At, what = "needs an image builder"): Refusal =>
  new Refusal({
    line: at.line,
    text: at.text,
    detail: `${what}; this runner only has the built-in one`,
    who: "administrator",
    hint: "set ACTIONS_RUNNER_HOOK_BUILDAH_IMAGE or ACTIONS_RUNNER_HOOK_BUILDKIT_ADDR."
  })

/** What of a long line is shown. */
export const excerpt = (text: string, limit = 120): string => {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim()
  return line.length > limit ? `${line.slice(0, limit).trimEnd()}…` : line
}
