import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/**
 * What was asked for does not fit the workflow: a job that it has not, an input of the wrong type.
 *
 * @category errors
 */
export class OptionInvalid extends Schema.TaggedError<OptionInvalid>()("OptionInvalid", {
  /** Which: `jobs`, `inputs.version`, `matrix`. */
  option: Schema.String,
  detail: Schema.String,
  hint: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    return `${this.option}: ${this.detail}${this.hint === undefined ? "" : `. ${this.hint}`}`
  }
  override readonly [Runtime.errorExitCode] = 2
}
