/**
 * What decides how a workflow is run, beyond its file: which jobs, with which event, inputs, variables and secrets. Plans take the same.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"

/**
 * Which jobs.
 *
 * @category options
 */
export interface Selection {
  /** Ids of jobs, `*` standing for any text. Default: all. */
  readonly jobs?: ReadonlyArray<string> | undefined
  /** The jobs that the selected ones need, too. Default true; without them their outputs are empty, and they count as successful. */
  readonly needs?: boolean | undefined
  /** Only combinations of matrices with one of these values, for each key that a matrix has. */
  readonly matrix?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
}

/**
 * The event that the workflow is run for.
 *
 * @category options
 */
export interface Event {
  readonly name: string
  /** `github.event`. */
  readonly payload: { readonly [key: string]: Schema.Json }
}

/** @category options */
export interface Options extends Selection {
  /** Default: the first event of the file, `workflow_dispatch` if there are inputs, with an empty payload. */
  readonly event?: Event | undefined
  /** Of `workflow_dispatch` and `workflow_call`, as texts. */
  readonly inputs?: Readonly<Record<string, string>> | undefined
  /** The `vars` context. */
  readonly vars?: Readonly<Record<string, string>> | undefined
  /** The `secrets` context: masked wherever they show. `GITHUB_TOKEN` is `github.token` too. */
  readonly secrets?: Readonly<Record<string, Redacted.Redacted<string>>> | undefined
  /** Variables for every step; those of the file win. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /**
   * Images of jobs without a container, on a backend where every job needs one: by a label of `runs-on`, in which `*` stands for any text. A
   * label itself counts before a pattern; an empty image is none.
   */
  readonly images?: Readonly<Record<string, string>> | undefined
  /** Properties of the `github` context, in place of what the repository tells. */
  readonly github?: Readonly<Record<string, string>> | undefined
  /**
   * `copy`: each job that has an `actions/checkout` step gets a copy of the workspace, the others an empty directory, as on GitHub.
   * `in-place`: all jobs work in the workspace itself. Default `copy`.
   */
  readonly workspace?: "copy" | "in-place" | undefined
  /** Jobs at a time. Default 4. */
  readonly parallel?: number | undefined
  /** How long `always()` jobs and steps may go on after a cancel. Default 5 minutes. */
  readonly conclude?: Duration.Input | undefined
  /** What GitHub's debug logging shows: `::debug::` lines, `runner.debug`. Default false. */
  readonly debug?: boolean | undefined
}
