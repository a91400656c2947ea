import vectors from "../buildkit.json" with { type: "json" }

/** An instruction: keyword, line, arguments, whether they were JSON, heredocs. */
export type Told = readonly [string, number, ReadonlyArray<string>, boolean, ReadonlyArray<unknown>]

interface Vectors {
  readonly env: Readonly<Record<string, string>>
  readonly paths: ReadonlyArray<string>
  readonly globPaths: ReadonlyArray<string>
  /** Word, escape character, value. */
  readonly words: ReadonlyArray<readonly [string, string, string | null]>
  /** `.dockerignore`, and for each path whether it is ignored. */
  readonly ignores: ReadonlyArray<readonly [string, string | null]>
  /** Pattern, and for each path whether it matches. */
  readonly globs: ReadonlyArray<readonly [string, string | null]>
  readonly files: ReadonlyArray<readonly [string, ReadonlyArray<Told> | null]>
}

/** What BuildKit v0.33.1 answers; `null` is an error. */
export const buildkit = vectors as unknown as Vectors
