import { BackendError, InvalidInput } from "../../../domain/JobError.ts"
import type { OptionInvalid } from "../../github/OptionInvalid.ts"

/** What does not fit the workflow, in terms of the command line. */
export const byFlag = ({ detail, hint, option }: OptionInvalid): BackendError => {
  const [kind = "", name] = option.split(/\.(.*)/s)
  const flag = flags[kind] ?? option
  return new BackendError({
    reason: new InvalidInput({
      input: name === undefined ? flag : `${flag} ${name}`,
      detail: hint === undefined ? detail : `${detail}. ${hint}`
    })
  })
}

const flags: Readonly<Record<string, string>> = { jobs: "--job", inputs: "--input", matrix: "--matrix" }
