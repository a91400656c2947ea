/** How a build's lines are shown in the step's log. */
import { excerpt } from "./Refusal.ts"

/** @category models */
export interface LogStyle {
  /** Before what a RUN writes. */
  readonly open: (text: string) => ReadonlyArray<string>
  /** After it. */
  readonly close: ReadonlyArray<string>
  /** An instruction that writes nothing. */
  readonly line: (text: string) => ReadonlyArray<string>
  /** A RUN has failed; `message` without the exit code, which is appended. */
  readonly failed: (message: string) => string
}

/**
 * For terminals.
 *
 * @category constructors
 */
export const plainLog: LogStyle = {
  open: (text) => [excerpt(text)],
  close: [],
  line: (text) => [excerpt(text)],
  failed: (message) => message
}

/**
 * For GitHub's logs: groups that can be folded. What a build writes is no workflow command, as it is none where Docker builds; `token` is
 * what nobody in the build can guess.
 *
 * @category constructors
 */
export const githubLog = (token: string): LogStyle => {
  const escaped = (text: string) => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A")
  return {
    open: (text) => [`::group::${escaped(excerpt(text))}`, `::stop-commands::${token}`],
    close: [`::${token}::`, "::endgroup::"],
    line: (text) => [`##[command]${excerpt(text)}`],
    failed: (message) => `::error::${escaped(message)}`
  }
}
